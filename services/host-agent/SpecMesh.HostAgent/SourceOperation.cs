using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hosting;
using SpecMesh.Hypervisors;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>
/// The shell around <see cref="SourceProtocol"/> for one operation: it carries out the protocol's effects on the guest, the data path, the journal and the ownership event
/// stream, and posts what came of each back as the next input. No decision is taken here.
/// </summary>
public sealed class SourceOperation : ProtocolShell<SourceInput>
{
    private readonly SourceStreams streams;
    private readonly ITimer progress;
    private SourceState state;
    private long votingSince;

    internal SourceOperation(Agent agent, SourceState state, IGuest? guest)
        : base(agent, state.OperationId, state.VmId)
    {
        this.state = state;
        Guest = guest;
        streams = new SourceStreams(agent, guest, Ended);
        progress = agent.Time.CreateTimer(_ => ReportProgress(), null, agent.Options.ProgressInterval, agent.Options.ProgressInterval);
        StartTicks(() => Post(Tick()));
        guest?.Exited.ContinueWith(_ => Post(new SourceInput.GuestLost("The guest ended on its own.")), Ended, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    /// <summary>The guest that the operation is about, and no later one of the same machine; null when none ran here.</summary>
    internal IGuest? Guest { get; }

    internal override void LookAgain() => Read();

    private protected override void Step(SourceInput input)
    {
        (state, IReadOnlyList<SourceEffect> effects) = SourceProtocol.Step(state, input, Agent.Options.Limits, Agent.Time.GetUtcNow());
        foreach (SourceEffect effect in effects)
        {
            Start(effect);
        }
    }

    /// <summary>
    /// The agent stops. A guest that stands still before its last pages goes on: nobody can have its image. Any other is left as it is, for the agent that comes next.
    /// </summary>
    private protected override async Task CloseAsync()
    {
        await progress.DisposeAsync();
        await streams.DisposeAsync();
        if (!IsBroken && state.MayGoOnUnasked && Guest is { State: GuestState.Suspended })
        {
            try
            {
                await Guest.ResumeAsync(CancellationToken.None);
                Agent.Logger.ResumedAtTheEnd(VmId);
            }
            catch (HypervisorException error)
            {
                Agent.Logger.NotResumedAtTheEnd(VmId, error);
            }
        }
    }

    private void Start(SourceEffect effect)
    {
        switch (effect)
        {
            case SourceEffect.Report report: Agent.Tell(report.Message, state.Epoch); break;
            case SourceEffect.OpenStream open: RunFor(open.Command.Replica, "no-migration-stream", () => OpenStreamAsync(open.Command)); break;
            case SourceEffect.RunRound round: RunFor(round.Replica, "migration-stream-failed", () => RunRoundAsync(round.Replica)); break;
            case SourceEffect.SuspendGuest: Run(SuspendAsync); break;
            case SourceEffect.FinishReplica finish: RunFor(finish.Replica, "migration-stream-failed", () => FinishAsync(finish)); break;
            case SourceEffect.JournalVote vote: Run(() => JournalVoteAsync(vote)); break;
            case SourceEffect.SendVote vote: RunFor(vote.Replica, "migration-stream-failed", () => SendVoteAsync(vote)); break;
            case SourceEffect.AppendRefusal refusal: Append(token => RefuseAsync(refusal, token), Unanswered); break;
            case SourceEffect.ReadOwnership: Read(); break;
            case SourceEffect.ResumeGuest: RunUntilDone(ResumeAsync); break;
            case SourceEffect.CloseStream close: Run(() => streams.CloseAsync(close.Replica, close.Reason.Detail)); break;
            case SourceEffect.DestroyGuest: RunUntilDone(DestroyAsync); break;
            case SourceEffect.Forget: Agent.Forget(this); break;
            default: throw new InvalidOperationException($"{effect.GetType().Name} is no effect of a source.");
        }
    }

    /// <summary>Whatever goes wrong with one replica's stream ends that replica and nothing else.</summary>
    private void RunFor(int replica, string code, Func<Task> work) => Run(async () =>
    {
        try
        {
            await work();
        }
        catch (Exception error) when (!Ended.IsCancellationRequested)
        {
            Post(new SourceInput.StreamFailed(replica, new Reason(code, error.Message), streams.Find(replica)?.Counters ?? state.Replicas[replica].Counters));
        }
    });

    private void Read() => Read(view => new SourceInput.OwnershipObserved(view), Unanswered);

    private static SourceInput.OwnershipUnanswered Unanswered(string detail) => new(detail);

    private async Task<SourceInput> RefuseAsync(SourceEffect.AppendRefusal refusal, CancellationToken token) => new SourceInput.RefusalAnswered(await Agent.OwnershipLog.RefuseAsync(
        VmId, new RefuseTransfer(OperationId, Agent.Options.HostId, state.Epoch, refusal.OwnershipVersion, refusal.Reason), token));

    private async Task OpenStreamAsync(ConnectReplica command)
    {
        if (await streams.OpenAsync(command))
        {
            await Agent.ReachAsync(FaultPoints.StreamsOpen, OperationId, Ended);
            Post(new SourceInput.StreamOpened(command.Replica));
        }
    }

    private async Task RunRoundAsync(int replica)
    {
        if (streams.Find(replica) is { } sender)
        {
            RoundResult result = await sender.RunRoundAsync(Ended);
            await Agent.ReachAsync(FaultPoints.Round, OperationId, Ended);
            Post(new SourceInput.RoundEnded(Describe(replica, result), sender.Counters));
        }
    }

    private async Task SuspendAsync()
    {
        try
        {
            await Guest!.SuspendAsync(Ended);
            streams.BeginSuspend(state.Incarnation);
            await Agent.ReachAsync(FaultPoints.Suspended, OperationId, Ended);
            Post(new SourceInput.GuestSuspended());
        }
        catch (Exception error) when (!Ended.IsCancellationRequested)
        {
            Post(new SourceInput.SuspendFailed(error.Message));
        }
    }

    private async Task FinishAsync(SourceEffect.FinishReplica finish)
    {
        if (streams.Find(finish.Replica) is { } sender)
        {
            streams.FinalHarvest(finish.Incarnation);
            ReadyResult ready = await sender.FinishAsync(finish.Incarnation, finish.OwnershipVersion, Ended);
            Post(new SourceInput.RoundEnded(Describe(finish.Replica, ready.LastRound), sender.Counters));
            Post(new SourceInput.ReadyReceived(finish.Replica, ready.Incarnation, ready.Digest));
        }
    }

    private async Task JournalVoteAsync(SourceEffect.JournalVote vote)
    {
        votingSince = Agent.Time.GetTimestamp();
        try
        {
            Agent.Journal.WriteVote(VmId, new JournaledVote(OperationId, vote.Replica, vote.TargetHostId, state.Epoch, vote.OwnershipVersion, vote.Incarnation, vote.Digest));
        }
        catch (Exception error)
        {
            Post(new SourceInput.JournalFailed(error.Message));
            return;
        }

        await Agent.ReachAsync(FaultPoints.Voted, OperationId, Ended);
        Post(new SourceInput.VoteJournaled());
    }

    private async Task SendVoteAsync(SourceEffect.SendVote vote)
    {
        if (streams.Find(vote.Replica) is { } sender)
        {
            await sender.VoteAsync(vote.OwnershipVersion, vote.Incarnation, vote.Epoch, Ended);
            VoteOutcome outcome = await sender.WaitResumedAsync(Ended);
            if (outcome.Resumed)
            {
                AgentMetrics.OwnershipMoved(Agent.Time.GetElapsedTime(votingSince));
            }

            Post(outcome.Resumed
                ? new SourceInput.ResumedHint(vote.Replica)
                : new SourceInput.StreamFailed(vote.Replica, new Reason("commit-refused", outcome.Reason ?? "The target did not commit."), sender.Counters));
        }
    }

    private async Task ResumeAsync()
    {
        streams.EndSuspend();
        try
        {
            if (Guest is { State: GuestState.Suspended })
            {
                await Guest.ResumeAsync(Ended);
            }
        }
        catch (HypervisorException error) when (Guest!.State is null)
        {
            Agent.TryClearVote(VmId, OperationId);
            Post(new SourceInput.GuestLost(error.Message));
            return;
        }

        // The event stream has moved past the vote, so an entry that cannot be cleared says nothing about now.
        Agent.TryClearVote(VmId, OperationId);
        Post(new SourceInput.GuestResumed());
    }

    private async Task DestroyAsync()
    {
        foreach ((int replica, MigrationSender _) in streams.Open)
        {
            await streams.CloseAsync(replica, "The source gives its copy up.");
        }

        if (Guest is not null)
        {
            await Guest.DestroyAsync(Ended);
            Agent.GuestGone(Guest);
        }

        await Agent.ReachAsync(FaultPoints.SourceDestroyed, OperationId, Ended);
        Agent.TryClearVote(VmId, OperationId);
        Post(new SourceInput.GuestDestroyed());
    }

    private SourceInput.Tick Tick()
    {
        IReadOnlyList<KeyValuePair<int, MigrationSender>> open = streams.Open;
        return new SourceInput.Tick(open.ToDictionary(pair => pair.Key, pair => pair.Value.Counters), open.ToDictionary(pair => pair.Key, pair => Standing(pair.Value.Progress)));
    }

    private static ReplicaProgress Standing(SenderProgress at) => new(at.PendingPages * IGuestMemory.PageBytes, at.AcknowledgedBytesPerSecond);

    private void ReportProgress()
    {
        foreach ((int replica, MigrationSender sender) in streams.Open)
        {
            SenderProgress at = sender.Progress;
            Agent.Publish(new ReplicaProgressed(
                OperationId, replica, state.Replicas[replica].Command.TargetHostId, at.Round, at.PagesSent, at.BytesSent, at.PendingPages, at.AcknowledgedBytesPerSecond));
        }
    }

    private ReplicaRoundCompleted Describe(int replica, RoundResult result) => new(
        OperationId,
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
        Agent.Time.GetUtcNow());
}
