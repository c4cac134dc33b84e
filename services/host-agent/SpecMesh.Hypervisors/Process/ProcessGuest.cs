using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;
using SpecMesh.Hypervisors.Process.Guest;
using SpecMesh.Hypervisors.Process.Tracking;

namespace SpecMesh.Hypervisors.Process;

/// <summary>A guest that is a process. Its calls are short and run on the caller's thread: the downtime of a migration has no room for a queue.</summary>
internal sealed class ProcessGuest : IShell
{
    private readonly GuestStore store;
    private readonly GuestHandle process;
    private readonly SharedMapping memoryMapping;
    private readonly SharedMapping controlMapping;
    private readonly ControlChannel control;
    private readonly MappedGuestMemory memory;

    // Orders the changes of the state and whatever depends on it.
    private readonly Lock gate = new();
    private GuestRecord record;
    private GuestState state;
    private long stops;
    private bool released;
    private bool destroyed;

    private ProcessGuest(GuestStore store, GuestHandle process, GuestRecord record, SharedMapping memoryMapping, SharedMapping controlMapping)
    {
        this.store = store;
        this.process = process;
        this.record = record;
        this.memoryMapping = memoryMapping;
        this.controlMapping = controlMapping;
        control = new ControlChannel(controlMapping, process.HasEnded);
        memory = new MappedGuestMemory(memoryMapping, () => State is not GuestState.Running);
        state = control.IsStarted ? GuestState.Running : GuestState.Paused;
    }

    public GuestTag Tag => record.Tag;

    public GuestState? State => Exited.IsCompleted ? null : state;

    public Task Exited => process.Exited;

    public IGuestMemory Memory => memory;

    public long MemoryBytes => record.MemoryBytes;

    public long Progress
    {
        get
        {
            using SharedMapping.Lease lease = memoryMapping.Use();
            return (long)Volatile.Read(ref lease.Words(GuestHeader.StepsOffset, 1)[0]);
        }
    }

    /// <summary>Where the guest is.</summary>
    internal GuestRecord Record => record;

    /// <summary>Takes over a process that says it is ready. The handle belongs to the guest from here on, also when this throws.</summary>
    public static ProcessGuest Attach(GuestStore store, GuestHandle process, GuestRecord record, bool prefault)
    {
        SharedMapping? memory = null;
        SharedMapping? control = null;
        try
        {
            memory = MapFile(record, record.MemoryFd, record.MemoryBytes);
            control = MapFile(record, record.ControlFd, ControlBlock.Bytes(record.MemoryBytes / IGuestMemory.PageBytes));
            if (prefault)
            {
                _ = Libc.TryPopulate(memory.Address, memory.Length);
            }

            ProcessGuest guest = new(store, process, record, memory, control);
            guest.FindStopped();
            return guest;
        }
        catch (Exception e)
        {
            memory?.Dispose();
            control?.Dispose();
            process.Dispose();
            if (e is NativeException)
            {
                throw new HypervisorException($"Guest {record.Name} cannot be reached: {e.Message}", e);
            }

            throw;
        }
    }

    public IDirtyLog OpenDirtyLog()
    {
        try
        {
            return record.Tracker switch
            {
                "pagemap-scan" => new PagemapScanLog(record.Pid, record.MemoryAddress, memory.PageCount),
                "userfaultfd" => new UserfaultfdLog(this, control, memory.PageCount),
                "soft-dirty" => new SoftDirtyLog(this, record.Pid, record.MemoryAddress, memory.PageCount),
                _ => throw new DirtyLogException($"Guest {record.Name} was built without a dirty tracker, because none passed its self-test."),
            };
        }
        catch (NativeException e)
        {
            throw new DirtyLogException($"The dirty log of guest {record.Name} cannot be opened: {e.Message}", e);
        }
    }

    /// <summary>Nothing: all that a guest is lies in its memory.</summary>
    public Task<byte[]> ReadSetupAsync(CancellationToken cancellationToken) => Task.FromResult<byte[]>([]);

    /// <summary>Nothing, as with <see cref="ReadSetupAsync"/>.</summary>
    public byte[] ReadState()
    {
        lock (gate)
        {
            RequireHere();
            return state == GuestState.Suspended ? [] : throw new HypervisorException($"Guest {record.Name} is {state}, and only a {GuestState.Suspended} one has a state that stays.");
        }
    }

    public IGuestMemory Open(long pageCount, ReadOnlySpan<byte> setup, CancellationToken cancellationToken)
    {
        if (pageCount != memory.PageCount || !setup.IsEmpty)
        {
            throw new HypervisorException($"A shell of {memory.PageCount} pages of the process driver cannot take a guest of {pageCount} pages with {setup.Length} bytes of another driver's.");
        }

        RequireShell();
        return memory;
    }

    public void Complete(ReadOnlySpan<byte> state, CancellationToken cancellationToken)
    {
        if (!state.IsEmpty)
        {
            throw new HypervisorException($"The process driver has no use for the {state.Length} bytes of another driver's.");
        }

        RequireShell();
    }

    /// <summary>Nothing stands against it: pages that are here are written over.</summary>
    public void Reopen() => RequireShell();

    public Task StartAsync(DurableCommit commit, CancellationToken cancellationToken)
    {
        commit.Require(Tag);
        return StartUnownedAsync(cancellationToken);
    }

    /// <summary>For a guest of the driver's own, which nobody can own.</summary>
    internal Task StartUnownedAsync(CancellationToken cancellationToken) =>
        Change(GuestState.Paused, GuestState.Running, () => control.Call(GuestCommand.Start), cancellationToken);

    public Task SuspendAsync(CancellationToken cancellationToken) => Change(
        GuestState.Running,
        GuestState.Suspended,
        () =>
        {
            process.Stop();
            stops++;
        },
        cancellationToken);

    public Task ResumeAsync(CancellationToken cancellationToken) =>
        Change(GuestState.Suspended, GuestState.Running, process.Continue, cancellationToken);

    public Task DestroyAsync(CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            lock (gate)
            {
                if (destroyed)
                {
                    return;
                }

                ObjectDisposedException.ThrowIf(released, this);
                process.Kill();
                Release();
                store.Remove(record.Name);
                destroyed = true;
            }
        },
        cancellationToken);

    public Task<GuestVerification> VerifyAsync(CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            GuestVerification? answer = null;
            WhileStopped(() => answer = GuestVerifier.Verify(memoryMapping));
            return answer!;
        },
        cancellationToken);

    public Task RetagAsync(GuestTag tag)
    {
        if (tag.VmId != record.Tag.VmId)
        {
            throw new ArgumentException($"A guest of {record.Tag.VmId} cannot become one of {tag.VmId}.", nameof(tag));
        }

        lock (gate)
        {
            RequireHere();
            GuestRecord changed = record with { Tag = tag };
            store.Save(changed);
            record = changed;
        }

        return Task.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        lock (gate)
        {
            if (!released)
            {
                Release();
            }
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>Runs while the state cannot change.</summary>
    /// <param name="action">Gets whether the guest is stopped, so that its process answers nothing, and the number of stops so far.</param>
    internal void WhileSettled(Action<bool, long> action)
    {
        lock (gate)
        {
            RequireHere();
            action(state == GuestState.Suspended, stops);
        }
    }

    /// <summary>Reads the memory of a running guest while it stands still.</summary>
    /// <exception cref="HypervisorException">Not running.</exception>
    internal void ReadStopped(Action<SharedMapping> read)
    {
        lock (gate)
        {
            RequireState(GuestState.Running, "be saved");
            WhileStopped(() => read(memoryMapping));
        }
    }

    /// <summary>Runs while nothing of the guest executes. A guest that runs is stopped meanwhile.</summary>
    internal void WhileStopped(Action action)
    {
        lock (gate)
        {
            RequireHere();
            if (state != GuestState.Running)
            {
                action();
                return;
            }

            process.Stop();
            try
            {
                action();
            }
            finally
            {
                process.Continue();
            }
        }
    }

    private static SharedMapping MapFile(GuestRecord record, int fd, long bytes)
    {
        using var file = Libc.OpenForBoth($"/proc/{record.Pid}/fd/{fd}");
        return SharedMapping.Map(file, bytes);
    }

    /// <summary>An agent that died may have left the guest stopped, or on the way there.</summary>
    private void FindStopped()
    {
        if (ProcFs.Read(record.Pid) is not { State: 'T' })
        {
            return;
        }

        if (state == GuestState.Running)
        {
            process.Stop();
            state = GuestState.Suspended;
        }
        else
        {
            process.Continue();
        }
    }

    private Task Change(GuestState from, GuestState to, Action action, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        lock (gate)
        {
            RequireState(from, $"become {to}");

            // The memory refuses writes from before the guest runs until after it has stopped.
            state = to == GuestState.Running ? to : state;
            try
            {
                action();
                state = to;
            }
            catch
            {
                state = from;
                throw;
            }
        }

        return Task.CompletedTask;
    }

    private void RequireState(GuestState needed, string what)
    {
        RequireHere();
        if (state != needed)
        {
            throw new HypervisorException($"Guest {record.Name} is {state}, and only a {needed} one can {what}.");
        }
    }

    private void RequireShell()
    {
        if (State != GuestState.Paused)
        {
            throw new HypervisorException($"Guest {record.Name} is {State?.ToString() ?? "gone"}, and takes no image.");
        }
    }

    private void RequireHere()
    {
        if (released || process.HasEnded())
        {
            throw new HypervisorException($"Guest {record.Name} is gone, or this agent has let go of it.");
        }
    }

    private void Release()
    {
        released = true;
        memoryMapping.Dispose();
        controlMapping.Dispose();
        process.Dispose();
    }
}
