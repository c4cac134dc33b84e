namespace SpecMesh.Hypervisors.Xen.Receiving;

/// <summary>How long each answer of a receiver may take.</summary>
public sealed record HandshakeLimits
{
    /// <summary>From its start to its banner.</summary>
    public TimeSpan Banner { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>From the last byte of the migration stream until the domain is built: libxl starts its devices in this time.</summary>
    public TimeSpan Ready { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>From the permission to the report.</summary>
    public TimeSpan Report { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>From the dismissal to its end.</summary>
    public TimeSpan Dismissal { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>How a receiver ended that was not wanted.</summary>
/// <param name="Confirmed">True when it has said itself that its domain is destroyed. False: it ended before it could say so, and whoever owns it looks.</param>
public sealed record Dismissal(bool Confirmed);

/// <summary>
/// The conversation with one stock receiver over its input and output. There is exactly one way to send the permission to run: <see cref="GoAsync"/>, which takes a
/// <see cref="DurableCommit"/> of the very replica that the receiver holds. A receiver that is not wanted loses its input, and is listened to until it closes: closed on both
/// sides at once, after it is ready, it would leave its domain behind, paused.
/// </summary>
public sealed class MigrateHandshake : IAsyncDisposable
{
    private readonly Lock gate = new();
    private readonly MigrateDialog dialog = new();
    private readonly Stream toReceiver;
    private readonly Stream fromReceiver;
    private readonly TimeProvider time;
    private readonly HandshakeLimits limits;
    private readonly CancellationTokenSource disposed = new();
    private readonly Task listening;
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <param name="tag">The replica that the receiver holds.</param>
    /// <param name="toReceiver">Its input. Closing it is all that the receiver learns of a dismissal.</param>
    /// <param name="fromReceiver">Its output.</param>
    /// <param name="time">Clock for the limits.</param>
    /// <param name="limits">How long each answer may take.</param>
    public MigrateHandshake(GuestTag tag, Stream toReceiver, Stream fromReceiver, TimeProvider time, HandshakeLimits limits)
    {
        Tag = tag;
        this.toReceiver = toReceiver;
        this.fromReceiver = fromReceiver;
        this.time = time;
        this.limits = limits;
        listening = Task.Run(ListenAsync);
    }

    /// <summary>The replica that the receiver holds.</summary>
    public GuestTag Tag { get; }

    /// <summary>Where the conversation stands. May be read by any thread.</summary>
    public DialogPhase Phase
    {
        get
        {
            lock (gate)
            {
                return dialog.Phase;
            }
        }
    }

    /// <summary>True when the domain may run, whatever the receiver has said. May be read by any thread.</summary>
    public bool MayRun
    {
        get
        {
            lock (gate)
            {
                return dialog.MayRun;
            }
        }
    }

    /// <summary>Waits until the receiver asks for the migration stream.</summary>
    /// <exception cref="MigrateReceiveException">It did not.</exception>
    public Task AwaitBannerAsync(CancellationToken cancellationToken) => ReachAsync(DialogPhase.Receiving, limits.Banner, cancellationToken);

    /// <summary>Call this before the tail of the migration stream is written: the answer may come before the writer is back.</summary>
    /// <exception cref="MigrateReceiveException">The receiver has failed meanwhile.</exception>
    public void TailBegins() => Change(static dialog => dialog.TailBegins());

    /// <summary>Waits until the domain is complete and paused.</summary>
    /// <exception cref="MigrateReceiveException">It will not be.</exception>
    public Task AwaitReadyAsync(CancellationToken cancellationToken) => ReachAsync(DialogPhase.Ready, limits.Ready, cancellationToken);

    /// <summary>
    /// Permits the receiver to run its domain, and waits until it does. Whatever ends this, except the refusal, the domain may run from here on (<see cref="MayRun"/>): whoever
    /// owns it looks, and destroys nothing that runs.
    /// </summary>
    /// <exception cref="HypervisorException">The commit is not this replica's. Nothing was sent.</exception>
    /// <exception cref="InvalidOperationException">The receiver is not ready. Nothing was sent.</exception>
    /// <exception cref="MigrateReceiveException">It could not start it, or did not say whether it has.</exception>
    public async Task GoAsync(DurableCommit commit, CancellationToken cancellationToken)
    {
        commit.Require(Tag);
        Change(static dialog => dialog.Permit());
        try
        {
            await toReceiver.WriteAsync(MigrateDialog.Permission.ToArray(), cancellationToken);
            await toReceiver.FlushAsync(cancellationToken);
        }
        catch (Exception broken) when (broken is IOException or ObjectDisposedException)
        {
            throw new MigrateReceiveException(MigrateReceiveFault.NotTaken, $"The permission could not be handed over: {broken.Message}", inner: broken);
        }

        await ReachAsync(DialogPhase.Running, limits.Report, cancellationToken);
    }

    /// <summary>Ends a receiver that has not got the permission. Its domain goes with it, where it keeps to the protocol.</summary>
    /// <exception cref="InvalidOperationException">It has the permission.</exception>
    /// <exception cref="MigrateReceiveException">It did not end as it should.</exception>
    public async Task<Dismissal> DismissAsync(CancellationToken cancellationToken)
    {
        bool dismissed = false;
        Change(dialog => dismissed = dialog.Dismiss());
        if (!dismissed && MayRun)
        {
            throw new InvalidOperationException($"The receiver is {Phase}: it has the permission to run.");
        }

        await CloseInputAsync();
        await ReachAsync(DialogPhase.Destroyed, limits.Dismissal, cancellationToken);
        return new Dismissal(dialog.Confirmed);
    }

    /// <summary>
    /// Stops listening and lets both ends go: the output first, so that a receiver that is ready cannot write its report and leaves its domain as it is. A second call does nothing.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        if (disposed.IsCancellationRequested)
        {
            return;
        }

        await disposed.CancelAsync();
        await listening;
        await fromReceiver.DisposeAsync();
        await CloseInputAsync();
    }

    /// <returns>False when the receiver had ended before it took everything; that it has, its other side tells.</returns>
    private async Task<bool> CloseInputAsync()
    {
        try
        {
            await toReceiver.DisposeAsync();
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private async Task ListenAsync()
    {
        byte[] buffer = new byte[512];
        string how = "closed its side";
        try
        {
            int count;
            while ((count = await fromReceiver.ReadAsync(buffer, disposed.Token)) > 0)
            {
                Change(dialog => dialog.Hear(buffer.AsSpan(0, count)));
            }
        }
        catch (Exception ended) when (ended is IOException or OperationCanceledException or ObjectDisposedException)
        {
            how = ended.Message;
        }

        Change(dialog => dialog.Closed(how));
    }

    private void Change(Action<MigrateDialog> step)
    {
        TaskCompletionSource before;
        lock (gate)
        {
            step(dialog);
            before = changed;
            changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        before.SetResult();
    }

    /// <summary>Waits for a phase, or a later one of the same ending; a failure, another ending and too long a silence throw.</summary>
    private async Task ReachAsync(DialogPhase wanted, TimeSpan patience, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = new(patience, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        while (Outcome(wanted) is { } waiting)
        {
            try
            {
                await waiting.WaitAsync(either.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                Change(dialog =>
                {
                    // It may have answered in the moment in which the time was over.
                    if (Outcome(wanted) is not null)
                    {
                        dialog.Expire(patience);
                    }
                });
            }
        }
    }

    /// <returns>What to wait for; null when the phase is reached.</returns>
    private Task? Outcome(DialogPhase wanted)
    {
        lock (gate)
        {
            return dialog.Phase switch
            {
                DialogPhase reached when reached == wanted => null,
                // One that has ended since has left its domain, complete.
                DialogPhase.Failed when wanted == DialogPhase.Ready && dialog is { WasReady: true, Failure.Fault: MigrateReceiveFault.ClosedEarly } => null,
                DialogPhase.Failed => throw dialog.Failure!,
                DialogPhase.Destroyed when dialog.Code is { } code =>
                    throw new MigrateReceiveException(MigrateReceiveFault.NotStarted, $"The receiver could not start its domain (code {code}) and destroyed it.", code),
                DialogPhase.Dismissed or DialogPhase.Destroyed when wanted != DialogPhase.Destroyed =>
                    throw new MigrateReceiveException(MigrateReceiveFault.ClosedEarly, "The receiver was dismissed."),
                DialogPhase further when further < DialogPhase.Ready && further > wanted => null,
                _ => changed.Task,
            };
        }
    }
}
