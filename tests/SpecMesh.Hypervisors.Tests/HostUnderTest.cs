using System.Diagnostics;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Process;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>A host of its own for one test, with a machine of its own name. Whatever is left on it is destroyed, also when the test fails.</summary>
public sealed class HostUnderTest(DirtyTrackerChoice tracker) : IAsyncDisposable
{
    public const long PageCount = 1024;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly List<IGuest> guests = [];

    public string Folder { get; } = Directory.CreateTempSubdirectory("specmesh-").FullName;

    public string VmId { get; } = "vm-" + Guid.NewGuid().ToString("N")[..12];

    /// <summary>Where the driver keeps snapshots.</summary>
    public string SnapshotFolder => Path.Combine(Folder, "snapshots");

    public string RecordFile => Assert.Single(Directory.GetFiles(Path.Combine(Folder, "guests"), "*.json"));

    /// <summary>A driver as a newly started agent has it.</summary>
    public IHypervisor Hypervisor() => new ProcessHypervisor(new ProcessHypervisorOptions(Folder, tracker));

    /// <summary>What an ownership event stream says that gives the machine to a guest, in the guest's own epoch.</summary>
    public static DurableCommit CommitOf(GuestTag tag) => DurableCommit.Of(new OwnershipView(tag.VmId, 1, null, tag.Epoch, "here", null, tag.OperationId, tag.Replica), "here");

    public GuestSpec Spec(double pagesPerSecond = 20_000, long pageCount = PageCount) =>
        new(new GuestTag(VmId, null, null, 1), new VmDefinition(pageCount * IGuestMemory.PageBytes, pagesPerSecond, Seed: 42));

    public async Task<IGuest> BuildAsync(GuestSpec spec) => Keep(await Hypervisor().BuildPausedAsync(spec, CancellationToken.None));

    /// <summary>A shell of a replica, as a target builds it.</summary>
    public async Task<IShell> BuildShellAsync()
    {
        IShell shell = await Hypervisor().BuildShellAsync(Spec() with { Tag = new GuestTag(VmId, Guid.NewGuid(), 1, 1) }, CancellationToken.None);
        Keep(shell);
        return shell;
    }

    public async Task<IGuest> RunAsync(double pagesPerSecond = 20_000, long pageCount = PageCount)
    {
        IGuest guest = await BuildAsync(Spec(pagesPerSecond, pageCount));
        await guest.StartAsync(CommitOf(guest.Tag), CancellationToken.None);
        return guest;
    }

    public async Task<IReadOnlyList<IGuest>> FindAsync() => [.. (await Hypervisor().FindGuestsAsync(CancellationToken.None)).Select(Keep)];

    public static void WaitForProgress(IGuest guest, long steps) =>
        Assert.True(SpinWait.SpinUntil(() => guest.Progress >= steps, Patience), $"The guest is at step {guest.Progress} and does not reach {steps}.");

    public static byte[] Copy(IGuest guest)
    {
        byte[] image = new byte[guest.Memory.PageCount * IGuestMemory.PageBytes];
        guest.Memory.Read(0, image);
        return image;
    }

    /// <summary>Everything of this machine that is left: processes, records, and memory mapped into this process.</summary>
    public IReadOnlyList<string> Remains() =>
    [
        .. Processes().Select(pid => $"process {pid}"),
        .. Directory.Exists(Path.Combine(Folder, "guests")) ? Directory.GetFiles(Path.Combine(Folder, "guests")) : [],
        .. File.ReadLines("/proc/self/maps").Where(line => line.Contains(VmId, StringComparison.Ordinal)),
    ];

    public IEnumerable<int> Processes()
    {
        foreach (string entry in Directory.GetDirectories("/proc").Where(d => int.TryParse(Path.GetFileName(d), out _)))
        {
            string command;
            try
            {
                command = File.ReadAllText(entry + "/cmdline");
            }
            catch (IOException)
            {
                // It ended while the list was read.
                continue;
            }

            if (command.Contains("\0guest\0" + VmId, StringComparison.Ordinal))
            {
                yield return int.Parse(Path.GetFileName(entry), null);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (IGuest guest in guests)
        {
            await guest.DisposeAsync();
        }

        foreach (int pid in Processes())
        {
            System.Diagnostics.Process process = System.Diagnostics.Process.GetProcessById(pid);
            process.Kill();
            await process.WaitForExitAsync();
        }

        Directory.Delete(Folder, recursive: true);
    }

    public static async Task WaitForExitAsync(IGuest guest) => await guest.Exited.WaitAsync(Patience);

    public static async Task<string?> ReadLineAsync(System.Diagnostics.Process process) =>
        await process.StandardOutput.ReadLineAsync().WaitAsync(Patience);

    public static ProcessStartInfo Dotnet(string assembly, IEnumerable<string> arguments)
    {
        ProcessStartInfo info = new(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true };
        info.Environment["DOTNET_EnableDiagnostics"] = "0";
        info.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, assembly));
        foreach (string argument in arguments)
        {
            info.ArgumentList.Add(argument);
        }

        return info;
    }

    /// <summary>Lets go of a guest when the test ends.</summary>
    public IGuest Keep(IGuest guest)
    {
        guests.Add(guest);
        return guest;
    }
}

/// <summary>Tests on a host of their own.</summary>
public abstract class OnHost(HostUnderTest host) : IAsyncLifetime
{
    protected HostUnderTest Host { get; } = host;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await Host.DisposeAsync();
}
