using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>The shell around the production <see cref="SourceProtocol"/> for one operation: it carries out the protocol's effects and posts what came of each.</summary>
internal sealed class SourceSide : ProtocolSide<SourceInput>
{
    private readonly Dictionary<int, Sender> senders = [];
    private readonly HashSet<int> closed = [];
    private readonly List<Task> leaving = [];
    private SourceState state;
    private DirtyPages? dirty;
    private bool imageWasOut;

    public SourceSide(Agent agent, SourceState state, Guest? guest)
        : base(agent, state.OperationId, state.VmId)
    {
        this.state = state;
        Guest = guest;
        StartTicks(() => Post(new SourceInput.Tick(senders.ToDictionary(pair => pair.Key, pair => pair.Value.Counters))));
        if (guest is not null)
        {
            agent.Watch(guest, () => Post(new SourceInput.GuestLost("The guest ended on its own.")));
        }
    }

    /// <summary>The guest that the operation is about; null when none ran here.</summary>
    public Guest? Guest { get; }

    public SourcePhase Phase => state.Phase;

    public IEnumerable<MigrationStream> OpenStreams => senders.Values.Select(sender => sender.Stream);

    protected override double LossShare => imageWasOut ? 15 : 1;

    public override void LookAgain() => Read();

    /// <summary>Everything is let go of, and at last the dirty log. Guests stay.</summary>
    public async Task CloseAsync()
    {
        IsClosed = true;
        await Task.WhenAll([.. senders.Values.Select(sender => sender.CloseAsync()), .. leaving]);
        AbandonLog();
    }

    /// <summary>The agent stops in order: a guest that stands still before its last pages goes on.</summary>
    public void LetGo()
    {
        bool free = state.MayGoOnUnasked;
        Agent.Guard(CloseAsync());
        if (free && Guest is { State: GuestState.Suspended })
        {
            Guest.Become(GuestState.Running);
        }
    }

    /// <summary>The dirty log is free for the next operation.</summary>
    public void AbandonLog()
    {
        if (Guest?.LogUser == this)
        {
            Guest.LogUser = null;
            Guest.Stop();
        }
    }

    /// <summary>I1, I3, I5, I6: for every live replica and page the last copied version is current, or the page is pending, taken or in the log. I7: the log is on for as long as replicas live.</summary>
    public void CheckPages(string when)
    {
        foreach (Sender sender in senders.Values)
        {
            if (sender.Target.Shell is not { State: GuestState.Paused } shell)
            {
                // It is gone, or it runs and is the machine now: what it writes no source knows.
                continue;
            }

            for (int page = 0; page < Guest!.Pages.Length; page++)
            {
                if (shell.Pages[page] != Guest.Pages[page] && !sender.Pending.Pending[page] && !sender.Pending.Taken[page] && !Guest.IsDirty(page))
                {
                    Cluster.Fail("I1", $"at {when} page {page} of {VmId} is stale at replica {sender.Target.Replica} and nobody knows");
                }
            }
        }

        if (dirty is { Live.Count: > 0 } && Guest is { State: not null, Tracking: false })
        {
            Cluster.Fail("I7", $"the log of {VmId} is off while {dirty.Live.Count} replicas live");
        }
    }

    /// <summary>I4: what a complete target holds is what the suspended guest holds.</summary>
    public void CheckComplete(Sender sender)
    {
        Guest!.RunOn();
        if (sender.Target.Shell is { State: not null } shell && !shell.Pages.AsSpan().SequenceEqual(Guest.Pages))
        {
            Cluster.Fail("I4", $"replica {sender.Target.Replica} of {VmId} counts as complete and differs from the guest");
        }

        if (Guest.State == GuestState.Running)
        {
            Cluster.Fail("I4", $"replica {sender.Target.Replica} of {VmId} counts as complete while the guest runs");
        }
    }

    protected override void Step(SourceInput input)
    {
        SourceInput heard = Cluster.Mutator.Hear(input, state);
        SourceState before = state;
        (state, IReadOnlyList<SourceEffect> effects) = SourceProtocol.Step(state, heard, Cluster.Limits, Agent.Clock.GetUtcNow());
        state = Cluster.Mutator.Stepped(before, state);
        imageWasOut |= state.ImageMayBeOut;
        Cluster.Coverage.Saw(state.Phase);
        if (Cluster.Trace is { } trace && (effects.Count > 0 || before.Phase != state.Phase))
        {
            trace.Note($"{Agent.Host.Id} source of {VmId} <- {heard} => {state.Phase} | {string.Join(", ", effects)}");
        }

        foreach (SourceEffect effect in effects)
        {
            Start(effect);
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
            case SourceEffect.AppendRefusal refusal: Refuse(refusal); break;
            case SourceEffect.ReadOwnership: Read(); break;
            case SourceEffect.ResumeGuest: RunUntilDone(ResumeAsync); break;
            case SourceEffect.CloseStream close: Run(() => CloseStreamAsync(close)); break;
            case SourceEffect.DestroyGuest: RunUntilDone(DestroyAsync); break;
            case SourceEffect.Forget: Agent.Forget(this); break;
            default: throw new InvalidOperationException($"{effect.GetType().Name} is no effect of a source.");
        }
    }

    private void RunFor(int replica, string code, Func<Task> work) => Run(async () =>
    {
        try
        {
            await work();
        }
        catch (Exception error) when (error is StreamEndedException or HypervisorFailedException or DirtyLogException or InvalidOperationException)
        {
            Post(new SourceInput.StreamFailed(replica, new Reason(code, error.Message), senders.GetValueOrDefault(replica)?.Counters ?? state.Replicas[replica].Counters));
        }
    });

    private void Read() => Read(view => new SourceInput.OwnershipObserved(view), detail => new SourceInput.OwnershipUnanswered(detail));

    private void Refuse(SourceEffect.AppendRefusal refusal)
    {
        if (Cluster.Mutator.ResumesInsteadOfRefusing(refusal))
        {
            RunUntilDone(ResumeAsync);
            return;
        }

        if (Cluster.Mutator.RefusalWithoutAppend(this, state, refusal) is { } believed)
        {
            Run(() =>
            {
                Post(believed);
                return Task.CompletedTask;
            });
            return;
        }

        RefuseTransfer request = new(OperationId, Agent.Host.Id, state.Epoch, refusal.OwnershipVersion, refusal.Reason);
        Append(ownership => ownership.RefuseAsync(VmId, request, CancellationToken.None), answer => new SourceInput.RefusalAnswered(answer), detail => new SourceInput.OwnershipUnanswered(detail));
    }

    private async Task OpenStreamAsync(ConnectReplica command)
    {
        if (Guest?.State is null)
        {
            throw new HypervisorFailedException($"{VmId} does not run on {Agent.Host.Id}.");
        }

        while (Guest.LogUser is not null && Guest.LogUser != this)
        {
            await Life.Pause(TimeSpan.FromMilliseconds(50));
            if (IsClosed)
            {
                return;
            }
        }

        Guest.LogUser = this;
        dirty ??= Cluster.Mutator.DirtyPagesOf(Guest, Agent.Clock);
        Guest.HarvestFails = () => Faults.Strikes(Fault.HarvestFailure, 0.3);
        await Life.Pause(Cluster.Links.Delay() + Cluster.Links.Delay());
        SimulatedHost host = Cluster.HostOf(command.TargetHostId);
        TargetSide? target = host.Agent?.Targets.GetValueOrDefault((command.OperationId, command.Replica));
        bool cut = Cluster.Links.IsCut(Agent.Node, host.Node) || Cluster.Links.IsCut(host.Node, Agent.Node);
        if (IsClosed || cut || target is not { Listens: true } || target.Command.Epoch != command.Epoch || Faults.Strikes(Fault.StreamBreak))
        {
            throw new StreamEndedException("The connection was refused.");
        }

        Sender sender = new(this, dirty, Guest, target);
        MigrationStream stream = new(Cluster, sender, target);
        sender.Connect(stream);
        target.Claim(stream);
        if (closed.Contains(command.Replica))
        {
            await sender.CloseAsync();
            return;
        }

        senders[command.Replica] = sender;
        CheckPages("a join");
        Post(new SourceInput.StreamOpened(command.Replica));
    }

    private async Task RunRoundAsync(int replica)
    {
        if (senders.TryGetValue(replica, out Sender? sender))
        {
            ReplicaRoundCompleted round = await sender.RunRoundAsync((number, pages, pending, ms) => Describe(replica, number, false, pages, pending, ms));
            Post(new SourceInput.RoundEnded(round, sender.Counters));
        }
    }

    private async Task SuspendAsync()
    {
        try
        {
            await HypervisorAsync("suspend");
            if (Guest?.State != GuestState.Running)
            {
                throw new HypervisorFailedException($"{VmId} does not run.");
            }

            Guest.RunOn();
            Cluster.Mutator.Suspend(Guest);
            dirty!.BeginSuspend(state.Incarnation);
            Post(new SourceInput.GuestSuspended());
        }
        catch (HypervisorFailedException error)
        {
            Post(new SourceInput.SuspendFailed(error.Message));
        }
    }

    private async Task FinishAsync(SourceEffect.FinishReplica finish)
    {
        if (senders.TryGetValue(finish.Replica, out Sender? sender))
        {
            dirty!.FinalHarvest(finish.Incarnation, sender.Pending);
            (StreamRecord.Ready ready, ReplicaRoundCompleted last) =
                await sender.FinishAsync(finish.Incarnation, Cluster.Mutator.ImageVersion(finish.OwnershipVersion), (number, pages, pending, ms) => Describe(finish.Replica, number, true, pages, pending, ms));
            Post(new SourceInput.RoundEnded(last, sender.Counters));
            Post(new SourceInput.ReadyReceived(finish.Replica, ready.Incarnation, ready.Digest));
        }
    }

    private async Task JournalVoteAsync(SourceEffect.JournalVote vote)
    {
        JournaledVote entry = new(OperationId, vote.Replica, vote.TargetHostId, state.Epoch, vote.OwnershipVersion, vote.Incarnation, vote.Digest);
        bool fails = Faults.Strikes(Fault.JournalFailure);
        bool reachesDisk = !fails || Faults.RandomOf(Fault.JournalFailure).NextInt(2) == 0;
        await JournalAsync();
        if (reachesDisk && Cluster.Mutator.JournalsVotes)
        {
            Agent.Host.Journal.WriteVote(VmId, entry);
        }

        Cluster.Truth.Voted(this, entry);
        Post(fails ? new SourceInput.JournalFailed("The disk is full.") : new SourceInput.VoteJournaled());
    }

    private async Task SendVoteAsync(SourceEffect.SendVote vote)
    {
        if (senders.TryGetValue(vote.Replica, out Sender? sender))
        {
            Task<StreamRecord> settled = sender.VoteAsync(vote.OwnershipVersion, vote.Incarnation, vote.Epoch);
            Cluster.Mutator.VoteSent(this);
            Post(await settled is StreamRecord.Refused refused
                ? new SourceInput.StreamFailed(vote.Replica, new Reason("commit-refused", refused.Detail), sender.Counters)
                : new SourceInput.ResumedHint(vote.Replica));
        }
    }

    private async Task ResumeAsync()
    {
        dirty?.EndSuspend();
        if (Guest is { State: GuestState.Suspended })
        {
            await HypervisorAsync("resume");
            if (Guest.State is null)
            {
                Agent.Host.Journal.ClearVote(VmId, OperationId);
                Post(new SourceInput.GuestLost("The guest is gone."));
                return;
            }

            Guest.Become(GuestState.Running);
        }

        Agent.Host.Journal.ClearVote(VmId, OperationId);
        Post(new SourceInput.GuestResumed());
    }

    private Task CloseStreamAsync(SourceEffect.CloseStream close) => CloseStreamAsync(close.Replica, close.Reason.Detail);

    private Task CloseStreamAsync(int replica, string reason)
    {
        closed.Add(replica);
        if (!senders.Remove(replica, out Sender? sender))
        {
            return Task.CompletedTask;
        }

        Task left = sender.AbortAsync(reason);
        leaving.Add(left);
        return left;
    }

    private async Task DestroyAsync()
    {
        foreach (int replica in senders.Keys.ToList())
        {
            await CloseStreamAsync(replica, "The source gives its copy up.");
        }

        await HypervisorAsync("destroy");
        if (Guest is { State: not null })
        {
            Agent.GuestGone(Guest);
            Guest.Become(null);
        }

        Agent.Host.Journal.ClearVote(VmId, OperationId);
        Post(new SourceInput.GuestDestroyed());
    }

    private ReplicaRoundCompleted Describe(int replica, int round, bool final, long pages, long pending, double ms) => new(
        OperationId,
        replica,
        state.Replicas[replica].Command.TargetHostId,
        round,
        final,
        pages,
        0,
        pages * IGuestMemory.PageBytes,
        ms,
        0,
        pending,
        Cluster.AcknowledgedBytesPerSecond,
        Agent.Clock.GetUtcNow());
}
