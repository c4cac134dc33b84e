using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Xen.Format;
using SpecMesh.Hypervisors.Xen.Receiving;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>What a shell is built with.</summary>
/// <param name="Xl">Xen's command line on this host.</param>
/// <param name="Tag">The replica that it will hold.</param>
/// <param name="MemoryBytes">Memory of the machine, as it is defined.</param>
/// <param name="ZeroPages">How pages of zeros travel to the receiver.</param>
/// <param name="Time">Clock for the receiver's limits.</param>
/// <param name="Attach">Finds the complete domain of this name, tags it, and attaches to it; null when there is none. The machine stands still meanwhile.</param>
internal sealed record XenShellOptions(XlCommand Xl, GuestTag Tag, long MemoryBytes, ZeroPages ZeroPages, TimeProvider Time, Func<string, IGuest?> Attach)
{
    /// <summary>Takes down that a domain of this UUID is being built, until the answer is disposed.</summary>
    public Func<Guid, IDisposable>? Begin { get; init; }

    /// <summary>How long each answer of the receiver may take.</summary>
    public HandshakeLimits Limits { get; init; } = new();
}

/// <summary>
/// A replica that a stock receiver builds. There is no domain until the source has said what its own is; from then on the receiver holds one; when the image is complete the domain is
/// tagged, and from then on it is a guest like any other, except that the receiver still waits for the permission to run it.
/// </summary>
internal sealed class XenShell(XenShellOptions options) : IShell
{
    private readonly TaskCompletionSource exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock gate = new();
    private readonly SemaphoreSlim starting = new(1, 1);
    private GuestTag tag = options.Tag;
    private XenReceiver? receiver;
    private IDisposable? begun;
    private IGuest? domain;
    private bool gone;
    private bool detached;

    public GuestTag Tag => Domain?.Tag ?? Volatile.Read(ref tag);

    public GuestState? State
    {
        get
        {
            lock (gate)
            {
                return gone ? null : domain is null ? GuestState.Paused : domain.State;
            }
        }
    }

    public Task Exited => exited.Task;

    public long MemoryBytes => options.MemoryBytes;

    public long Progress => Domain?.Progress ?? 0;

    /// <summary>The domain's memory, or the way to it while it is being received.</summary>
    /// <exception cref="InvalidOperationException">The source has not said yet what its domain is.</exception>
    public IGuestMemory Memory
    {
        get
        {
            lock (gate)
            {
                ObjectDisposedException.ThrowIf(gone, this);
                return domain?.Memory ?? receiver?.Memory ?? throw new InvalidOperationException("The shell has no memory yet: the source has not said what its domain is.");
            }
        }
    }

    /// <summary>True until its image is complete, or it is given up.</summary>
    internal bool IsReceiving
    {
        get
        {
            lock (gate)
            {
                return !gone && !detached && domain is null;
            }
        }
    }

    /// <summary>Memory that the host must still have for it, as far as the receiver has not taken it yet.</summary>
    internal long AwaitedBytes
    {
        get
        {
            lock (gate)
            {
                return gone || detached || domain is not null ? 0 : Math.Max(0, options.MemoryBytes - (receiver?.BytesWritten ?? 0));
            }
        }
    }

    /// <summary>The domain that was received, once it is complete.</summary>
    internal IGuest? Received => Domain;

    private IGuest? Domain
    {
        get
        {
            lock (gate)
            {
                return domain;
            }
        }
    }

    public IGuestMemory Open(long pageCount, ReadOnlySpan<byte> setup, CancellationToken cancellationToken)
    {
        (XenDomainSetup described, MemoryLayout layout) = XenSetupFormat.Read(setup, pageCount);
        LibxlConfiguration configuration = LibxlConfiguration.Parse(described.LibxlConfiguration.Span);
        configuration.RequireAcceptable(Tag.VmId, options.MemoryBytes);
        XenReceiverOptions started = new(options.Xl, Tag, described, layout, options.ZeroPages, options.Time) { Limits = options.Limits };
        IDisposable? begins = options.Begin?.Invoke(configuration.Uuid);
        try
        {
            XenReceiver opened = XenReceiver.StartAsync(started, cancellationToken).GetAwaiter().GetResult();
            lock (gate)
            {
                if (!gone && receiver is null)
                {
                    (receiver, begun, begins) = (opened, begins, null);
                    return opened.Memory;
                }
            }

            opened.EndAsync().GetAwaiter().GetResult();
        }
        finally
        {
            begins?.Dispose();
        }

        throw new InvalidOperationException("The shell is open already, or gone.");
    }

    /// <summary>The domain is tagged before this returns, so that whoever counts on the image can find it.</summary>
    public void Complete(ReadOnlySpan<byte> state, CancellationToken cancellationToken)
    {
        XenDomainState described = XenStateFormat.Read(state);
        XenReceiver open = Opened();
        open.CompleteAsync(described, cancellationToken).GetAwaiter().GetResult();
        string name = ReplicaName.Incoming(Tag);
        IGuest attached = options.Attach(name) ?? throw new HypervisorException($"xl migrate-receive is ready, and there is no domain {name}.");
        lock (gate)
        {
            domain = attached;
        }

        begun?.Dispose();
        attached.Exited.ContinueWith(_ => exited.TrySetResult(), TaskScheduler.Default);
    }

    /// <summary>Refused: a receiver that has got the end of an image takes no more pages.</summary>
    /// <exception cref="HypervisorException">Always.</exception>
    public void Reopen() => throw new HypervisorException("xl migrate-receive has got the end of the image, and cannot take more pages: the replica ends here.");

    public IDirtyLog OpenDirtyLog() => Whole().OpenDirtyLog();

    public Task<byte[]> ReadSetupAsync(CancellationToken cancellationToken) => Whole().ReadSetupAsync(cancellationToken);

    public byte[] ReadState() => Whole().ReadState();

    /// <summary>Permits the receiver to run its domain. One that cannot take the permission any more is ended, and its domain, if it is still there, runs without it.</summary>
    public async Task StartAsync(DurableCommit commit, CancellationToken cancellationToken)
    {
        commit.Require(Tag);
        IGuest whole = Whole();
        await starting.WaitAsync(cancellationToken);
        try
        {
            if (receiver is { MayRun: false } waiting)
            {
                if (await GoAsync(waiting, commit, whole, cancellationToken))
                {
                    return;
                }

                // What it was about to do it does no more: from here on only this process acts on the domain.
                await waiting.KillAsync();
            }

            if (whole.State != GuestState.Running)
            {
                await whole.StartAsync(commit, cancellationToken);
            }
        }
        finally
        {
            starting.Release();
        }
    }

    /// <returns>False when the receiver cannot take the permission, and has left its domain.</returns>
    private static async Task<bool> GoAsync(XenReceiver waiting, DurableCommit commit, IGuest whole, CancellationToken cancellationToken)
    {
        if (!waiting.IsReady)
        {
            return false;
        }

        try
        {
            await waiting.GoAsync(commit, cancellationToken);
            return true;
        }
        catch (HypervisorException) when (whole.State is not null)
        {
            return false;
        }
    }

    public Task SuspendAsync(CancellationToken cancellationToken) => Whole().SuspendAsync(cancellationToken);

    public Task ResumeAsync(CancellationToken cancellationToken) => Whole().ResumeAsync(cancellationToken);

    public async Task DestroyAsync(CancellationToken cancellationToken)
    {
        XenReceiver? held;
        IGuest? whole;
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(detached, this);
            (held, whole) = (receiver, domain);
        }

        if (held is not null)
        {
            await held.EndAsync();
            begun?.Dispose();
        }

        if (whole is not null)
        {
            await whole.DestroyAsync(cancellationToken);
        }

        lock (gate)
        {
            gone = true;
        }

        exited.TrySetResult();
    }

    public Task<GuestVerification> VerifyAsync(CancellationToken cancellationToken) => Whole().VerifyAsync(cancellationToken);

    public async Task RetagAsync(GuestTag tag)
    {
        if (tag.VmId != Tag.VmId)
        {
            throw new ArgumentException($"A guest of {Tag.VmId} cannot become one of {tag.VmId}.", nameof(tag));
        }

        if (Domain is { } whole)
        {
            await whole.RetagAsync(tag);
        }

        Volatile.Write(ref this.tag, tag);
    }

    /// <summary>A complete domain stays as it is. What was not complete is of no use to anybody, and goes.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (gate)
        {
            if (gone || detached)
            {
                return;
            }

            detached = true;
        }

        if (Domain is { } whole)
        {
            await (receiver?.DetachAsync() ?? Task.CompletedTask);
            await whole.DisposeAsync();
        }
        else if (receiver is not null)
        {
            await receiver.DisposeAsync();
            begun?.Dispose();
        }
    }

    private XenReceiver Opened()
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(gone, this);
            return receiver ?? throw new InvalidOperationException("The shell is not open.");
        }
    }

    private IGuest Whole() => Domain ?? throw new HypervisorException($"The replica of {Tag.VmId} is {State?.ToString() ?? "gone"}, and its memory holds no guest yet.");
}
