using System.Runtime.InteropServices;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Process.Guest;

namespace SpecMesh.Hypervisors.Process;

/// <summary>How the Process driver works on one host.</summary>
/// <param name="StateDirectory">Folder of this agent alone, kept between its starts: there it finds its guests again.</param>
/// <param name="DirtyTracker">The tracker to use. One that was named and fails its self-test is not replaced by another.</param>
/// <param name="InitialisedFraction">Share of a machine's pages that hold something at power-on, 0 to 1; the rest are zero until they are written.</param>
public sealed record ProcessHypervisorOptions(
    string StateDirectory,
    DirtyTrackerChoice DirtyTracker = DirtyTrackerChoice.Auto,
    double InitialisedFraction = 0.5)
{
    /// <summary>Folder of the snapshots, for the agent's user alone; null: <c>snapshots</c> in the state directory.</summary>
    public string? SnapshotDirectory { get; init; }
}

/// <summary>Guests that are processes: their memory is real, written at a given rate, tracked by the kernel and verifiable. Needs Linux and no privileges.</summary>
public sealed partial class ProcessHypervisor : IHypervisor, IAsyncDisposable
{
    // Left to the rest of the host when a guest is built.
    private const long SpareBytes = 64L << 20;

    private readonly ProcessHypervisorOptions options;
    private readonly GuestStore store;
    private readonly GuestLauncher launcher = new();
    private readonly Lock gate = new();
    private readonly CancellationTokenSource closing = new();
    private Task<HypervisorCapabilities>? probe;

    public ProcessHypervisor(ProcessHypervisorOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(options.InitialisedFraction);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.InitialisedFraction, 1);
        this.options = options with { StateDirectory = Path.GetFullPath(options.StateDirectory) };
        store = new GuestStore(this.options.StateDirectory);
        snapshots = new SnapshotDirectory(options.SnapshotDirectory ?? Path.Combine(this.options.StateDirectory, "snapshots"));
    }

    public string Name => "process";

    public Task<HypervisorCapabilities> ProbeAsync(CancellationToken cancellationToken)
    {
        lock (gate)
        {
            if (probe is null || probe.IsFaulted || probe.IsCanceled)
            {
                probe = ProbeOnceAsync(closing.Token);
            }

            return probe.WaitAsync(cancellationToken);
        }
    }

    public async Task<IGuest> BuildPausedAsync(GuestSpec spec, CancellationToken cancellationToken) => await BuildAsync(spec, await TrackerAsync(cancellationToken), powerOn: true, cancellationToken);

    public async Task<IShell> BuildShellAsync(GuestSpec spec, CancellationToken cancellationToken) => await BuildAsync(spec, await TrackerAsync(cancellationToken), powerOn: false, cancellationToken);

    public Task<IReadOnlyList<IGuest>> FindGuestsAsync(CancellationToken cancellationToken)
    {
        RequireHost();
        return Task.Run(() => FindAsync(cancellationToken), cancellationToken);
    }

    /// <summary>Ends a self-test under way, with its guest. Guests of machines stay.</summary>
    public async ValueTask DisposeAsync()
    {
        if (closing.IsCancellationRequested)
        {
            return;
        }

        await closing.CancelAsync();
        Task? last;
        lock (gate)
        {
            last = probe;
        }

        if (last is not null)
        {
            // Whoever asked for it has its outcome; here it only must be over.
            await last.ContinueWith(static _ => { }, TaskScheduler.Default);
        }

        closing.Dispose();
    }

    /// <summary>Builds a guest with a given tracker, also one that has not passed its self-test.</summary>
    /// <param name="spec">What to build.</param>
    /// <param name="tracker">Name of the tracker.</param>
    /// <param name="powerOn">True: the memory holds the machine's first state. False: zeros.</param>
    /// <param name="cancellationToken">Ends the building.</param>
    internal async Task<ProcessGuest> BuildAsync(GuestSpec spec, string tracker, bool powerOn, CancellationToken cancellationToken)
    {
        RequireHost();
        Validate(spec);
        GuestOptions guest = new(
            $"{spec.Tag.VmId}-{Guid.NewGuid().ToString("N")[..8]}",
            spec.Vm.MemoryBytes,
            tracker,
            powerOn,
            spec.Vm.Seed,
            spec.Vm.WritePagesPerSecond,
            options.InitialisedFraction);
        ProcessGuest? built = null;
        try
        {
            await launcher.StartAsync(guest, ready => store.Save((built = Attach(spec.Tag, guest, ready)).Record), cancellationToken);
            return built!;
        }
        catch
        {
            await (built?.DisposeAsync() ?? ValueTask.CompletedTask);
            store.Remove(guest.Name);
            throw;
        }
    }

    private async Task<IReadOnlyList<IGuest>> FindAsync(CancellationToken cancellationToken)
    {
        string boot = ProcFs.BootId();
        List<IGuest> guests = [];
        try
        {
            foreach (GuestRecord record in store.Load())
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (record.BootId == boot && Find(record) is { } guest)
                {
                    guests.Add(guest);
                }
                else
                {
                    store.Remove(record.Name);
                }
            }

            return guests;
        }
        catch
        {
            foreach (IGuest guest in guests)
            {
                await guest.DisposeAsync();
            }

            throw;
        }
    }

    private ProcessGuest? Find(GuestRecord record)
    {
        GuestHandle? process = GuestHandle.Open(record.Pid, record.StartTime);
        try
        {
            return process is null ? null : ProcessGuest.Attach(store, process, record, prefault: false);
        }
        catch (HypervisorException) when (ProcFs.Read(record.Pid) is not { HasEnded: false } now || now.StartTime != record.StartTime)
        {
            // It ended while it was being looked at.
            return null;
        }
    }

    private async Task<string> TrackerAsync(CancellationToken cancellationToken) => (await ProbeAsync(cancellationToken)).DirtyTracker ?? DirtyTrackerNames.None;

    /// <summary>A shell's memory is mapped into the agent at once, which makes receiving an image about three times cheaper in processor time.</summary>
    private ProcessGuest Attach(GuestTag tag, GuestOptions guest, ReadyGuest ready)
    {
        GuestHandle process = GuestHandle.Open(ready.Pid, null) ?? throw new HypervisorException($"Guest {guest.Name} ended while it was built.");
        GuestRecord record = new(
            guest.Name,
            tag,
            ProcFs.BootId(),
            ready.Pid,
            process.StartTime,
            guest.MemoryBytes,
            ready.MemoryFd,
            ready.MemoryAddress,
            ready.ControlFd,
            guest.Tracker);
        return ProcessGuest.Attach(store, process, record, prefault: !guest.PowerOn);
    }

    private async Task<HypervisorCapabilities> ProbeOnceAsync(CancellationToken cancellationToken)
    {
        RequireHost();
        DirtyTrackerChoice[] considered = options.DirtyTracker == DirtyTrackerChoice.Auto
            ? [DirtyTrackerChoice.PagemapScan, DirtyTrackerChoice.Userfaultfd, DirtyTrackerChoice.SoftDirty]
            : [options.DirtyTracker];
        List<DirtyTrackerReport> reports = [];
        string? chosen = null;
        foreach (DirtyTrackerChoice tracker in considered)
        {
            if (chosen is not null)
            {
                reports.Add(new DirtyTrackerReport(tracker.Name(), null, $"not needed, because {chosen} works"));
                continue;
            }

            string? fault = await TrackerSelfTest.RunAsync(this, tracker, cancellationToken);
            reports.Add(new DirtyTrackerReport(tracker.Name(), fault is null, fault));
            chosen = fault is null ? tracker.Name() : null;
        }

        return new HypervisorCapabilities(chosen, reports, CanVerify: true) { SnapshotsRefused = snapshots.Test(), ProcessorsRefused = NoProcessors, MemoryRefused = FixedMemory };
    }

    private static void RequireHost()
    {
        if (!OperatingSystem.IsLinux())
        {
            throw new PlatformNotSupportedException(
                "The process driver needs Linux: it tracks the memory of processes with the kernel's pagemap and userfaultfd. Run the agent on a Linux host.");
        }

        if (RuntimeInformation.ProcessArchitecture is not (Architecture.X64 or Architecture.Arm64))
        {
            throw new PlatformNotSupportedException(
                $"The process driver knows the system calls of x64 and arm64, not of {RuntimeInformation.ProcessArchitecture}.");
        }

        if (Environment.SystemPageSize != IGuestMemory.PageBytes)
        {
            throw new HypervisorException(
                $"The process driver needs a kernel with pages of {IGuestMemory.PageBytes} bytes; this one has pages of {Environment.SystemPageSize}.");
        }
    }

    private static void Validate(GuestSpec spec)
    {
        string vmId = spec.Tag.VmId;
        if (vmId.Length is 0 or > 63 || vmId[0] == '-' || vmId.Any(c => c is not ((>= 'a' and <= 'z') or (>= '0' and <= '9') or '-')))
        {
            throw new HypervisorException("A machine's id is 1 to 63 of a-z, 0-9 and -, and does not begin with -.");
        }

        long bytes = spec.Vm.MemoryBytes;
        const long least = GuestImage.MinimumPages * IGuestMemory.PageBytes;
        if (bytes < least || bytes % IGuestMemory.PageBytes != 0)
        {
            throw new HypervisorException($"A guest's memory is a multiple of {IGuestMemory.PageBytes} bytes and at least {least}; {bytes} is not.");
        }

        if (!double.IsFinite(spec.Vm.WritePagesPerSecond) || spec.Vm.WritePagesPerSecond < 0)
        {
            throw new HypervisorException($"A guest cannot write {spec.Vm.WritePagesPerSecond} pages in a second.");
        }

        long available = ProcFs.AvailableBytes();
        if (bytes > available - SpareBytes)
        {
            throw new HypervisorException(
                $"The host has {available} bytes of memory left, of which {SpareBytes} stay free; a guest of {bytes} does not fit.");
        }
    }
}
