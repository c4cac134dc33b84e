using SpecMesh.Contracts;
using SpecMesh.DataPath;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>A host for one test, with a machine of its own name, on one kind of hypervisor. Whatever is left on it is destroyed, also when the test fails.</summary>
public abstract class HostUnderTest : IAsyncDisposable
{
    private readonly List<IGuest> guests = [];

    public string Folder { get; } = Directory.CreateTempSubdirectory("specmesh-").FullName;

    public string VmId { get; } = "vm-" + Guid.NewGuid().ToString("N")[..12];

    /// <summary>Where the driver keeps snapshots.</summary>
    public string SnapshotFolder => Path.Combine(Folder, "snapshots");

    /// <summary>How long the guest may take for anything.</summary>
    protected abstract TimeSpan Patience { get; }

    /// <summary>How often it is looked whether a guest has come further.</summary>
    protected abstract TimeSpan LookInterval { get; }

    /// <summary>How much <see cref="IGuest.Progress"/> grows while a guest does one step.</summary>
    protected abstract long ProgressPerStep { get; }

    /// <summary>A driver as a newly started agent has it.</summary>
    public abstract IHypervisor Hypervisor();

    /// <summary>Everything of this machine that is left.</summary>
    public abstract IReadOnlyList<string> Remains();

    /// <summary>Whether the guest's memory is what the guest must have written, by whoever can tell.</summary>
    public abstract Task<GuestVerification> VerifyAsync(IGuest guest);

    /// <summary>Ends the guest behind the driver's back.</summary>
    public abstract Task KillAsync(IGuest guest);

    /// <summary>What cannot be built here, and a part of the reason.</summary>
    public abstract IReadOnlyList<(GuestSpec Spec, string Reason)> Unbuildable();

    /// <summary>True for a difference between two states of a page that the guest has not made: this kind of host writes into its guests' memory, too, and logs it nowhere.</summary>
    public virtual bool IsOfTheHost(IGuest guest, long page, ReadOnlySpan<byte> had, ReadOnlySpan<byte> has) => false;

    /// <summary>How often a test that is the better the more often it tries should try.</summary>
    public abstract int Times(int often);

    /// <summary>What an ownership event stream says that gives the machine to a guest, in the guest's own epoch.</summary>
    public static DurableCommit CommitOf(GuestTag tag) => DurableCommit.Of(new OwnershipView(tag.VmId, 1, null, tag.Epoch, "here", null, tag.OperationId, tag.Replica), "here");

    public abstract GuestSpec Spec(double pagesPerSecond = 20_000, long pageCount = 1024);

    public async Task<IGuest> BuildAsync(GuestSpec spec) => Keep(await Hypervisor().BuildPausedAsync(spec, CancellationToken.None));

    /// <summary>A shell of a replica, as a target builds it.</summary>
    public async Task<IShell> BuildShellAsync()
    {
        IShell shell = await Hypervisor().BuildShellAsync(Spec() with { Tag = new GuestTag(VmId, Guid.NewGuid(), 1, 1) }, CancellationToken.None);
        Keep(shell);
        return shell;
    }

    /// <summary>A guest that has begun to write.</summary>
    public async Task<IGuest> RunAsync(double pagesPerSecond = 20_000, long pageCount = 1024)
    {
        IGuest guest = await BuildAsync(Spec(pagesPerSecond, pageCount));
        await StartAsync(guest);
        return guest;
    }

    /// <summary>Starts a guest that was built here, and returns when it does what it is there for.</summary>
    public async Task StartAsync(IGuest guest)
    {
        await guest.StartAsync(CommitOf(guest.Tag), CancellationToken.None);
        await BegunAsync(guest);
    }

    public async Task<IReadOnlyList<IGuest>> FindAsync() => [.. (await Hypervisor().FindGuestsAsync(CancellationToken.None)).Select(Keep)];

    /// <summary>Waits until the guest has done so many steps more.</summary>
    public async Task WaitForStepsAsync(IGuest guest, long steps)
    {
        long wanted = guest.Progress + (steps * ProgressPerStep);
        Assert.True(await BecomesAsync(() => guest.Progress >= wanted), $"The guest's progress is {guest.Progress} and does not reach {wanted}.");
    }

    /// <summary>Looks again and again whether something has become true. It does not spin: the guest may need the very processor.</summary>
    public async Task<bool> BecomesAsync(Func<bool> condition)
    {
        using CancellationTokenSource limit = new(Patience);
        using PeriodicTimer timer = new(LookInterval);
        while (!condition())
        {
            if (limit.IsCancellationRequested)
            {
                return false;
            }

            await timer.WaitForNextTickAsync(CancellationToken.None);
        }

        return true;
    }

    public static byte[] Copy(IGuest guest)
    {
        byte[] image = new byte[guest.Memory.PageCount * IGuestMemory.PageBytes];
        guest.Memory.Read(0, image);
        return image;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (IGuest guest in guests)
        {
            await guest.DisposeAsync();
        }

        await EndRemainsAsync();
        Directory.Delete(Folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    public async Task WaitForExitAsync(IGuest guest) => await guest.Exited.WaitAsync(Patience);

    /// <summary>Lets go of a guest when the test ends.</summary>
    public IGuest Keep(IGuest guest)
    {
        guests.Add(guest);
        return guest;
    }

    /// <summary>Waits until a guest that was just started does what it is there for.</summary>
    protected abstract Task BegunAsync(IGuest guest);

    /// <summary>Ends what is left of this test's machines.</summary>
    protected abstract Task EndRemainsAsync();
}

/// <summary>Tests on a host of their own.</summary>
public abstract class OnHost(HostUnderTest host) : IAsyncLifetime
{
    protected HostUnderTest Host { get; } = host;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await Host.DisposeAsync();
}
