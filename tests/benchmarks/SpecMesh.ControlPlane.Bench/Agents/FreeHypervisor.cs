using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors;

namespace SpecMesh.ControlPlane.Bench.Agents;

/// <summary>Guests that cost nothing: no process, no memory, nothing that is ever written. What is left of an operation is the control plane.</summary>
internal sealed class FreeHypervisor(PauseClock clock) : IHypervisor
{
    public string Name => "free";

    public Task<HypervisorCapabilities> ProbeAsync(CancellationToken cancellationToken) =>
        Task.FromResult(new HypervisorCapabilities(FreeLog.TrackerName, [new DirtyTrackerReport(FreeLog.TrackerName, true, null)], CanVerify: false));

    public Task<IGuest> BuildPausedAsync(GuestSpec spec, CancellationToken cancellationToken) => Task.FromResult<IGuest>(Build(spec));

    public Task<IShell> BuildShellAsync(GuestSpec spec, CancellationToken cancellationToken) => Task.FromResult<IShell>(Build(spec));

    public Task<IReadOnlyList<IGuest>> FindGuestsAsync(CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<IGuest>>([]);

    private FreeGuest Build(GuestSpec spec) => new(spec.Tag, new ZeroMemory(spec.Vm.MemoryBytes / IGuestMemory.PageBytes), clock);
}

/// <summary>A guest's states and nothing else. It tells when it is suspended and when it begins to run.</summary>
internal sealed class FreeGuest(GuestTag tag, ZeroMemory memory, PauseClock clock) : IShell
{
    private readonly TaskCompletionSource exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock gate = new();
    private GuestState? state = GuestState.Paused;

    public GuestTag Tag { get; private set; } = tag;

    public GuestState? State
    {
        get
        {
            lock (gate)
            {
                return state;
            }
        }
    }

    public Task Exited => exited.Task;

    public long Progress => 0;

    public IGuestMemory Memory => memory;

    public IDirtyLog OpenDirtyLog() => new FreeLog();

    public long MemoryBytes => memory.PageCount * IGuestMemory.PageBytes;

    public Task<byte[]> ReadSetupAsync(CancellationToken cancellationToken) => Task.FromResult<byte[]>([]);

    public byte[] ReadState() => [];

    public IGuestMemory Open(long pageCount, ReadOnlySpan<byte> setup, CancellationToken cancellationToken) => memory;

    public void Complete(ReadOnlySpan<byte> state, CancellationToken cancellationToken)
    {
    }

    public void Reopen()
    {
    }

    public Task StartAsync(DurableCommit commit, CancellationToken cancellationToken)
    {
        commit.Require(Tag);
        clock.Started(Tag.VmId);
        return Move(GuestState.Paused, GuestState.Running);
    }

    public Task SuspendAsync(CancellationToken cancellationToken)
    {
        clock.Suspended(Tag.VmId);
        return Move(GuestState.Running, GuestState.Suspended);
    }

    public Task ResumeAsync(CancellationToken cancellationToken) => Move(GuestState.Suspended, GuestState.Running);

    public Task DestroyAsync(CancellationToken cancellationToken)
    {
        lock (gate)
        {
            state = null;
        }

        exited.TrySetResult();
        return Task.CompletedTask;
    }

    public Task<GuestVerification> VerifyAsync(CancellationToken cancellationToken) => throw new HypervisorException("A guest without memory cannot be verified.");

    public Task RetagAsync(GuestTag tag)
    {
        Tag = tag;
        return Task.CompletedTask;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private Task Move(GuestState from, GuestState to)
    {
        lock (gate)
        {
            if (state != from)
            {
                throw new HypervisorException($"{Tag.VmId} is {state?.ToString() ?? "gone"}, not {from}.");
            }

            state = to;
        }

        return Task.CompletedTask;
    }
}

/// <summary>Pages that are all zero and take no space. A migration stream sends them as runs of a few bytes.</summary>
internal sealed class ZeroMemory(long pageCount) : IGuestMemory
{
    public long PageCount => pageCount;

    public void Read(long firstPage, Span<byte> destination) => destination.Clear();

    public void Write(long firstPage, ReadOnlySpan<byte> source)
    {
        if (source.ContainsAnyExcept((byte)0))
        {
            throw new InvalidOperationException("Only zeros were sent, and something else has arrived.");
        }
    }

    public void Zero(long firstPage, long count) => ArgumentOutOfRangeException.ThrowIfGreaterThan(firstPage + count, pageCount);
}

/// <summary>The log of a guest that writes nothing.</summary>
internal sealed class FreeLog : IDirtyLog
{
    public const string TrackerName = "nothing-is-written";

    public string Name => TrackerName;

    public void Start()
    {
    }

    public void Harvest(PageBitmap into)
    {
    }

    public void Stop()
    {
    }

    public void Dispose()
    {
    }
}
