using System.Globalization;
using System.Text.Json;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;
using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>
/// A PVH domain on this host. Its tag stands in xenstore, below the domain's own path, so that it lives exactly as long as the domain. A domain that has shut down or crashed counts
/// as gone: nothing builds it again but an operation.
/// </summary>
internal sealed partial class XenGuest : IGuest
{
    private static readonly TimeSpan WatchInterval = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan SuspendPoll = TimeSpan.FromMilliseconds(2);

    private readonly XenHost host;
    private readonly TimeProvider time;
    private readonly int domainId;
    private readonly SemaphoreSlim command = new(1, 1);
    private readonly TaskCompletionSource exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ITimer watch;
    private readonly Lazy<XenGuestMemory> firstMemory;
    private GuestTag tag;
    private XenGuestMemory? laterMemory;
    private volatile bool closed;

    private XenGuest(XenHost host, TimeProvider time, int domainId, GuestTag tag, long memoryBytes)
    {
        this.host = host;
        this.time = time;
        this.domainId = domainId;
        this.tag = tag;
        MemoryBytes = memoryBytes;

        // Looking at every page frame takes a while, and a domain that was just received has no time for it.
        firstMemory = new Lazy<XenGuestMemory>(ReadMemory);
        watch = time.CreateTimer(_ => Watch(), null, WatchInterval, WatchInterval);
    }

    public GuestTag Tag => Volatile.Read(ref tag);

    /// <summary>How the domain stands. One that stands still because it is being saved runs: it goes on without anybody's word.</summary>
    public GuestState? State => host.Control.Find(domainId) switch
    {
        null or { Dying: true } or { Ended: true } => null,
        { Suspended: true } => saving ? GuestState.Running : GuestState.Suspended,
        { Paused: true } => GuestState.Paused,
        _ => GuestState.Running,
    };

    public Task Exited => exited.Task;

    public long MemoryBytes { get; }

    /// <summary>Processor time of the domain, in nanoseconds.</summary>
    public long Progress => host.Control.Find(domainId)?.CpuTimeNs ?? throw new ObjectDisposedException($"domain {domainId}");

    /// <summary>The memory, with the layout that the domain had when its dirty log was opened last: while it runs, drivers in it give memory back and take some.</summary>
    public IGuestMemory Memory => Known;

    /// <summary>How long a domain may take to suspend itself. One without drivers for it never does.</summary>
    public TimeSpan SuspendLimit { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Why the driver could not look at the domain, the last time that it could not; null while it always could.</summary>
    internal Exception? LastWatchFailure { get; private set; }

    /// <summary>Why the domain could not be given the machine's name, the last time that it could not.</summary>
    internal Exception? LastRenameFailure { get; private set; }

    private XenGuestMemory Known => Volatile.Read(ref laterMemory) ?? firstMemory.Value;

    /// <summary>Attaches to a domain that carries a tag; null when it carries none, or none that is whole.</summary>
    public static XenGuest? Attach(XenHost host, TimeProvider time, int domainId) =>
        ReadTag(host, domainId) is { } tag
        && long.TryParse(host.Store.Read(XenHost.PathOf(domainId, "memory")), NumberStyles.None, CultureInfo.InvariantCulture, out long memoryBytes)
            ? new XenGuest(host, time, domainId, tag, memoryBytes)
            : null;

    /// <summary>The tag of a domain; null when it has none.</summary>
    public static GuestTag? ReadTag(XenHost host, int domainId) =>
        host.Store.Read(XenHost.PathOf(domainId, "tag")) is { } stored ? JsonSerializer.Deserialize<GuestTag>(stored) : null;

    /// <summary>Attaches to a domain and tags it. The tag comes last: a domain that has one has everything.</summary>
    public static XenGuest Attach(XenHost host, TimeProvider time, int domainId, GuestTag tag, long memoryBytes)
    {
        host.Store.Write(XenHost.PathOf(domainId, "memory"), memoryBytes.ToString(CultureInfo.InvariantCulture));
        host.Store.Write(XenHost.PathOf(domainId, "tag"), JsonSerializer.Serialize(tag));
        return new XenGuest(host, time, domainId, tag, memoryBytes);
    }

    public IDirtyLog OpenDirtyLog()
    {
        XenGuestMemory now = ReadMemory();
        Volatile.Write(ref laterMemory, now);

        // The log is closed when no migration stream reads the memory any more.
        return new XenDirtyLog(host, domainId, now.Layout, now.Unmap);
    }

    public async Task<byte[]> ReadSetupAsync(CancellationToken cancellationToken)
    {
        try
        {
            return XenSetupFormat.Write(await host.ReadSetupAsync(domainId, cancellationToken), Known.Layout);
        }
        catch (NativeException failure)
        {
            throw new HypervisorException($"Domain {domainId}: {failure.Message}", failure);
        }
    }

    public byte[] ReadState()
    {
        try
        {
            return XenStateFormat.Write(host.ReadState(domainId));
        }
        catch (NativeException failure)
        {
            throw new HypervisorException($"Domain {domainId}: {failure.Message}", failure);
        }
    }

    public async Task StartAsync(DurableCommit commit, CancellationToken cancellationToken)
    {
        commit.Require(Tag);
        await CommandAsync(GuestState.Paused, () =>
        {
            host.Control.Unpause(domainId);
            return Task.CompletedTask;
        });
        await RenameAsync(cancellationToken);
    }

    /// <summary>Gives the domain the machine's own name, where that is free. It is for people: the driver knows the domain by its tag, so a name that is taken does not matter.</summary>
    public async Task RenameAsync(CancellationToken cancellationToken)
    {
        try
        {
            await host.Xl.RunAsync(["rename", domainId.ToString(CultureInfo.InvariantCulture), Tag.VmId], cancellationToken);
        }
        catch (HypervisorException taken)
        {
            LastRenameFailure = taken;
        }
    }

    /// <summary>Asks the domain to suspend itself and waits until it has: its drivers then keep still, too.</summary>
    public Task SuspendAsync(CancellationToken cancellationToken) => CommandAsync(GuestState.Running, async () =>
    {
        string control = $"/local/domain/{domainId}/control/shutdown";
        host.Store.Write(control, "suspend");
        long began = time.GetTimestamp();
        while (State != GuestState.Suspended)
        {
            if (State is null)
            {
                throw new HypervisorException($"Domain {domainId} ended instead of suspending itself.");
            }

            if (time.GetElapsedTime(began) > SuspendLimit || cancellationToken.IsCancellationRequested)
            {
                await WithdrawAsync(control);
                cancellationToken.ThrowIfCancellationRequested();
                throw new HypervisorException($"Domain {domainId} did not suspend itself within {SuspendLimit.TotalSeconds} s.");
            }

            await Task.Delay(SuspendPoll, time, CancellationToken.None);
        }
    });

    public Task ResumeAsync(CancellationToken cancellationToken) => CommandAsync(GuestState.Suspended, () =>
    {
        ResumeNow();
        return Task.CompletedTask;
    });

    public async Task DestroyAsync(CancellationToken cancellationToken)
    {
        // A domain whose memory is mapped somewhere stays as a ghost when it is destroyed.
        (Volatile.Read(ref laterMemory) ?? (firstMemory.IsValueCreated ? firstMemory.Value : null))?.Unmap();
        await host.Xl.DestroyAsync(domainId, cancellationToken);
        CloseMemory();
        exited.TrySetResult();
    }

    /// <summary>Refused: a domain of an operator's knows itself what its memory must hold, and nobody else does.</summary>
    public Task<GuestVerification> VerifyAsync(CancellationToken cancellationToken) =>
        throw new HypervisorException("The Xen driver does not know what a domain's memory must hold.");

    public Task RetagAsync(GuestTag tag)
    {
        if (tag.VmId != Tag.VmId)
        {
            throw new ArgumentException($"A guest of {Tag.VmId} cannot become one of {tag.VmId}.", nameof(tag));
        }

        host.Store.Write(XenHost.PathOf(domainId, "tag"), JsonSerializer.Serialize(tag));
        Volatile.Write(ref this.tag, tag);
        return Task.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await watch.DisposeAsync();
        CloseMemory();
    }

    private void CloseMemory()
    {
        closed = true;
        laterMemory?.Close();
        if (firstMemory.IsValueCreated)
        {
            firstMemory.Value.Close();
        }
    }

    private XenGuestMemory ReadMemory()
    {
        ObjectDisposedException.ThrowIf(closed, this);
        return new XenGuestMemory(host.Memory, domainId, MemoryLayout.Of(host.Control.ReadPopulated(domainId)));
    }

    private async Task CommandAsync(GuestState needed, Func<Task> work)
    {
        await command.WaitAsync();
        try
        {
            if (State is var state && state != needed)
            {
                throw new HypervisorException($"Domain {domainId} is {state?.ToString() ?? "gone"}, and not {needed}.");
            }

            await work();
        }
        catch (NativeException failure)
        {
            throw new HypervisorException($"Domain {domainId}: {failure.Message}", failure);
        }
        finally
        {
            command.Release();
        }
    }

    /// <summary>Takes the wish to suspend back. A domain that has taken it up already is let go on.</summary>
    private async Task WithdrawAsync(string control)
    {
        bool takenUp = string.IsNullOrEmpty(host.Store.Read(control));
        host.Store.Write(control, "");
        long began = time.GetTimestamp();
        while (takenUp && State == GuestState.Running && time.GetElapsedTime(began) < SuspendLimit)
        {
            await Task.Delay(SuspendPoll, time, CancellationToken.None);
        }

        if (State == GuestState.Suspended)
        {
            ResumeNow();
        }
    }

    private void ResumeNow()
    {
        Native.XenGuestLibrary.Resume(host.Control, domainId);
        host.Store.ResumeDomain(domainId);
    }

    private void Watch()
    {
        try
        {
            if (State is null)
            {
                exited.TrySetResult();
            }
        }
        catch (Exception unknown) when (unknown is ObjectDisposedException or NativeException)
        {
            // The driver was closed, or the hypervisor did not answer this once: neither says that the domain is gone.
            LastWatchFailure = unknown;
        }
    }
}
