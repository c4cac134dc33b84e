using System.Collections.Concurrent;
using System.Net;
using System.Text;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>
/// The shell around <see cref="SourceProtocol"/> for one operation: it carries out the protocol's effects on the guest, the data path, the journal and the ownership event
/// stream, and posts what came of each back as the next input. No decision is taken here.
/// </summary>
public sealed class SourceOperation : IAsyncDisposable
{
    private readonly Agent agent;
    private readonly IGuest? guest;
    private readonly Mailbox<SourceInput> mailbox;
    private readonly ConcurrentDictionary<int, MigrationSender> senders = new();
    private readonly CancellationTokenSource ended = new();
    private readonly ITimer ticks;
    private readonly ITimer progress;
    private SourceState state;
    private IDirtyLog? log;
    private DirtyLogOwner? dirty;
    private int ownershipCalls;

    internal SourceOperation(Agent agent, SourceState state, IGuest? guest)
    {
        this.agent = agent;
        this.state = state;
        this.guest = guest;
        mailbox = new Mailbox<SourceInput>(Step, error => agent.Logger.ProtocolBroken(state.OperationId, error));
        ticks = agent.Time.CreateTimer(_ => Post(new SourceInput.Tick(senders.ToDictionary(pair => pair.Key, pair => pair.Value.Counters))), null, agent.Options.TickInterval, agent.Options.TickInterval);
        progress = agent.Time.CreateTimer(_ => ReportProgress(), null, agent.Options.ProgressInterval, agent.Options.ProgressInterval);
        guest?.Exited.ContinueWith(_ => Post(new SourceInput.GuestLost("The guest ended on its own.")), TaskScheduler.Default);
    }

    /// <summary>Tells the state machine something.</summary>
    public void Post(SourceInput input) => mailbox.Post(input);

    public async ValueTask DisposeAsync()
    {
        await ended.CancelAsync();
        await ticks.DisposeAsync();
        await progress.DisposeAsync();
        await mailbox.DisposeAsync();
        foreach (MigrationSender sender in senders.Values)
        {
            await sender.DisposeAsync();
        }

        log?.Dispose();
        ended.Dispose();
    }

    private void Step(SourceInput input)
    {
        (state, IReadOnlyList<SourceEffect> effects) = SourceProtocol.Step(state, input, agent.Options.Limits, agent.Time.GetUtcNow());
        foreach (SourceEffect effect in effects)
        {
            Start(effect);
        }
    }

    private void Start(SourceEffect effect)
    {
        switch (effect)
        {
            case SourceEffect.Report report: agent.Reports.Tell(report.Message, state.Epoch); break;
            case SourceEffect.OpenStream open: Run(() => OpenStreamAsync(open.Command)); break;
            case SourceEffect.RunRound round: Run(() => RunRoundAsync(round.Replica)); break;
            case SourceEffect.SuspendGuest: Run(SuspendAsync); break;
            case SourceEffect.FinishReplica finish: Run(() => FinishAsync(finish)); break;
            case SourceEffect.JournalVote vote: Run(() => JournalVote(vote)); break;
            case SourceEffect.SendVote vote: Run(() => SendVoteAsync(vote)); break;
            case SourceEffect.AppendRefusal refusal: Run(() => AskOwnershipAsync(refusal)); break;
            case SourceEffect.ReadOwnership: Run(() => AskOwnershipAsync(null)); break;
            case SourceEffect.ResumeGuest: Run(ResumeAsync); break;
            case SourceEffect.CloseStream close: Run(() => CloseStreamAsync(close)); break;
            case SourceEffect.DestroyGuest: Run(DestroyAsync); break;
            case SourceEffect.Forget: agent.Forget(this, state.OperationId, state.VmId); break;
            default: throw new InvalidOperationException($"{effect.GetType().Name} is no effect of a source.");
        }
    }

    /// <summary>Carries out an effect beside the state machine, which goes on listening. What may fail posts its failure itself.</summary>
    private void Run(Func<Task> work) => Task.Run(async () =>
    {
        try
        {
            await work();
        }
        catch (OperationCanceledException) when (ended.IsCancellationRequested)
        {
            agent.Logger.EffectDropped(state.OperationId);
        }
        catch (Exception error)
        {
            agent.Logger.EffectFailed(state.OperationId, error);
        }
    });

    private async Task OpenStreamAsync(ConnectReplica command)
    {
        MigrationSender sender;
        try
        {
            await agent.DirtyLogFreeAsync(command.VmId);
            sender = await ConnectAsync(command);
        }
        catch (Exception error) when (error is MigrationException or DirtyLogException or HypervisorException or FormatException or ObjectDisposedException)
        {
            Post(new SourceInput.StreamFailed(command.Replica, new Reason("no-migration-stream", error.Message), ReplicaCounters.None));
            return;
        }

        senders[command.Replica] = sender;
        Post(new SourceInput.StreamOpened(command.Replica));
    }

    private Task<MigrationSender> ConnectAsync(ConnectReplica command)
    {
        if (guest is null)
        {
            throw new HypervisorException($"{command.VmId} does not run on {agent.Options.HostId}.");
        }

        lock (senders)
        {
            log ??= guest.OpenDirtyLog();
            dirty ??= new DirtyLogOwner(log, guest.Memory.PageCount, agent.Time, DirtyLogOwner.DefaultReuse);
        }

        ReplicaIdentity identity = new(new ReplicaKey(command.OperationId, command.Replica, command.Epoch), command.VmId, guest.Memory.PageCount * IGuestMemory.PageBytes);
        byte[] token = ReplicaToken.Derive(Encoding.UTF8.GetBytes(agent.Options.ClusterKey), identity);
        return MigrationSender.ConnectAsync(new MigrationSenderOptions(IPEndPoint.Parse(command.DataEndpoint), identity, token, dirty, guest.Memory, agent.Time), ended.Token);
    }

    private async Task RunRoundAsync(int replica)
    {
        if (!senders.TryGetValue(replica, out MigrationSender? sender))
        {
            return;
        }

        try
        {
            RoundResult result = await sender.RunRoundAsync(ended.Token);
            Post(new SourceInput.RoundEnded(Describe(replica, result), sender.Counters));
        }
        catch (MigrationException error)
        {
            Post(Failed(replica, sender, error));
        }
    }

    private async Task SuspendAsync()
    {
        try
        {
            await guest!.SuspendAsync(ended.Token);
            dirty!.BeginSuspend(state.Incarnation);
            Post(new SourceInput.GuestSuspended());
        }
        catch (HypervisorException error)
        {
            Post(new SourceInput.SuspendFailed(error.Message));
        }
    }

    private async Task FinishAsync(SourceEffect.FinishReplica finish)
    {
        if (!senders.TryGetValue(finish.Replica, out MigrationSender? sender))
        {
            return;
        }

        try
        {
            dirty!.FinalHarvest(finish.Incarnation);
            ReadyResult ready = await sender.FinishAsync(finish.Incarnation, ended.Token);
            Post(new SourceInput.RoundEnded(Describe(finish.Replica, ready.LastRound), sender.Counters));
            Post(new SourceInput.ReadyReceived(finish.Replica, ready.Incarnation, ready.Digest));
        }
        catch (MigrationException error)
        {
            Post(Failed(finish.Replica, sender, error));
        }
        catch (Exception error) when (error is DirtyLogException or InvalidOperationException)
        {
            Post(new SourceInput.StreamFailed(finish.Replica, new Reason("final-harvest-failed", error.Message), sender.Counters));
        }
    }

    private Task JournalVote(SourceEffect.JournalVote vote)
    {
        try
        {
            agent.Journal.WriteVote(
                state.VmId,
                new JournaledVote(state.OperationId, vote.Replica, vote.TargetHostId, state.Epoch, vote.OwnershipVersion, vote.Incarnation, vote.Digest));
            Post(new SourceInput.VoteJournaled());
        }
        catch (IOException error)
        {
            Post(new SourceInput.JournalFailed(error.Message));
        }

        return Task.CompletedTask;
    }

    private async Task SendVoteAsync(SourceEffect.SendVote vote)
    {
        if (!senders.TryGetValue(vote.Replica, out MigrationSender? sender))
        {
            return;
        }

        try
        {
            await sender.VoteAsync(vote.OwnershipVersion, vote.Incarnation, vote.Epoch, ended.Token);
            VoteOutcome outcome = await sender.WaitResumedAsync(ended.Token);
            Post(outcome.Resumed
                ? new SourceInput.ResumedHint(vote.Replica)
                : new SourceInput.StreamFailed(vote.Replica, new Reason("commit-refused", outcome.Reason ?? "The target did not commit."), sender.Counters));
        }
        catch (MigrationException error)
        {
            Post(Failed(vote.Replica, sender, error));
        }
    }

    /// <summary>Appends a refusal, or reads. One call at a time: the protocol repeats what got no answer.</summary>
    private async Task AskOwnershipAsync(SourceEffect.AppendRefusal? refusal)
    {
        if (Interlocked.Exchange(ref ownershipCalls, 1) == 1 && refusal is null)
        {
            return;
        }

        try
        {
            SourceInput answer = refusal is null
                ? new SourceInput.OwnershipObserved(await agent.OwnershipLog.ReadAsync(state.VmId, ended.Token))
                : new SourceInput.RefusalAnswered(await agent.OwnershipLog.RefuseAsync(
                    state.VmId,
                    new RefuseTransfer(state.OperationId, agent.Options.HostId, state.Epoch, refusal.OwnershipVersion, refusal.Reason),
                    ended.Token));
            Post(answer);
        }
        catch (Exception error) when (!ended.IsCancellationRequested)
        {
            agent.Logger.OwnershipUnanswered(state.VmId, error);
            Post(new SourceInput.OwnershipUnanswered(error.Message));
        }
        finally
        {
            Volatile.Write(ref ownershipCalls, 0);
        }
    }

    private async Task ResumeAsync()
    {
        dirty?.EndSuspend();
        try
        {
            if (guest is { State: GuestState.Suspended })
            {
                await guest.ResumeAsync(ended.Token);
            }

            agent.Journal.ClearVote(state.VmId);
            Post(new SourceInput.GuestResumed());
        }
        catch (HypervisorException error)
        {
            Post(new SourceInput.GuestLost(error.Message));
        }
    }

    private async Task CloseStreamAsync(SourceEffect.CloseStream close)
    {
        if (senders.TryRemove(close.Replica, out MigrationSender? sender))
        {
            await sender.AbortAsync(close.Reason.Detail);
            await sender.DisposeAsync();
        }
    }

    private async Task DestroyAsync()
    {
        foreach (int replica in senders.Keys)
        {
            await CloseStreamAsync(new SourceEffect.CloseStream(replica, new Reason("source-gone", "The source gives its copy up.")));
        }

        if (guest is not null)
        {
            await guest.DestroyAsync(ended.Token);
        }

        agent.Journal.ClearVote(state.VmId);
        agent.GuestGone(state.VmId, guest);
        Post(new SourceInput.GuestDestroyed());
    }

    private void ReportProgress()
    {
        foreach ((int replica, MigrationSender sender) in senders)
        {
            SenderProgress at = sender.Progress;
            agent.Publish(new ReplicaProgressed(
                state.OperationId, replica, state.Replicas[replica].Command.TargetHostId, at.Round, at.PagesSent, at.BytesSent, at.PendingPages, at.AcknowledgedBytesPerSecond));
        }
    }

    private ReplicaRoundCompleted Describe(int replica, RoundResult result) => new(
        state.OperationId,
        replica,
        state.Replicas[replica].Command.TargetHostId,
        result.Round,
        result.Final,
        result.Pages,
        result.ZeroPages,
        result.Bytes,
        Math.Round(result.Duration.TotalMilliseconds, 3),
        Math.Round(result.DirtyPagesPerSecond, 1),
        result.PendingAfter,
        Math.Round(result.AcknowledgedBytesPerSecond),
        agent.Time.GetUtcNow());

    private static SourceInput.StreamFailed Failed(int replica, MigrationSender sender, MigrationException error) =>
        new(replica, new Reason("migration-stream-failed", error.Message), sender.Counters);
}
