using SpecMesh.Contracts;
using SpecMesh.Protocol.Tests.Checks;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>The shell around the production <see cref="TargetProtocol"/> for one replica, with the target's end of its migration stream.</summary>
internal sealed class TargetSide : ProtocolSide<TargetInput>, IStreamEnd
{
    private const string NoImage = "0000000000000000";

    private readonly Queue<StreamRecord> unread = new();
    private TargetState state;
    private bool[] covered = [];
    private Session session = Session.None;

    public TargetSide(Agent agent, StartReplica command, Guest? shell)
        : base(agent, command.OperationId, command.VmId)
    {
        state = new TargetState(command);
        Shell = shell;
        if (shell is null)
        {
            StartTicks(() => Post(new TargetInput.Tick()));
        }
    }

    /// <summary>Where the target's end of the migration stream stands, as <c>ReceiverState</c> has it.</summary>
    private enum Session
    {
        None,
        Waiting,
        Receiving,
        Complete,
        Voted,
        Ended,
    }

    public StartReplica Command => state.Command;

    public int Replica => state.Command.Replica;

    public TargetPhase Phase => state.Phase;

    public Guest? Shell { get; private set; }

    public MigrationStream? Stream { get; private set; }

    /// <summary>True when a source may open the migration stream.</summary>
    public bool Listens => session == Session.Waiting && !IsClosed && Agent.Takes;

    public override void LookAgain() => Read();

    /// <summary>The source has proved itself.</summary>
    public void Claim(MigrationStream stream) => (Stream, session) = (stream, Session.Receiving);

    /// <summary>Goes on where the earlier agent was.</summary>
    public void Recover(RecoveryAction action, Reason reason, OwnershipView view, KeptImage? image)
    {
        (int, string, long)? complete = image is null ? null : (image.Incarnation, image.Digest, image.OwnershipVersion);
        (state, IReadOnlyList<TargetEffect> effects) = TargetProtocol.Recovered(Command, action, reason, view, complete, Agent.Clock.GetUtcNow());
        Cluster.Trace?.Note($"{Agent.Host.Id} target {Replica} of {VmId} recovers: {action} ({reason.Code}) => {state.Phase} | {string.Join(", ", effects)}");
        foreach (TargetEffect effect in effects)
        {
            Start(effect);
        }

        WatchShell();
        StartTicks(() => Post(new TargetInput.Tick()));
    }

    public void Close()
    {
        EndSession("The target has closed the migration stream.");
        IsClosed = true;
    }

    public void Arrived(StreamRecord record)
    {
        if (session == Session.Voted && record is not StreamRecord.End)
        {
            // Nothing more is read until the owner has said what became of the vote.
            unread.Enqueue(record);
            return;
        }

        switch (record)
        {
            case StreamRecord.Data data when session == Session.Receiving: Apply(data); break;
            case StreamRecord.RoundEnd end when session == Session.Receiving: Stream!.ToSource(new StreamRecord.Ack(end.Round)); break;
            case StreamRecord.Complete complete when session == Session.Receiving: Agent.Guard(CompleteAsync(complete)); break;
            case StreamRecord.Vote vote when session == Session.Complete:
                session = Session.Voted;
                Post(new TargetInput.VoteReceived(vote.OwnershipVersion, vote.Incarnation, vote.Epoch));
                break;
            case StreamRecord.Abort abort when session is not (Session.None or Session.Ended):
                session = Session.Ended;
                Post(new TargetInput.SourceAborted(new Reason("aborted-by-source", abort.Detail)));
                break;
            case StreamRecord.End end when session is not (Session.None or Session.Ended):
                EndOfStream(end);
                break;
        }
    }

    protected override void Step(TargetInput input)
    {
        TargetPhase before = state.Phase;
        (state, IReadOnlyList<TargetEffect> effects) = TargetProtocol.Step(state, input, Agent.Clock.GetUtcNow());
        Cluster.Coverage.Saw(state.Phase);
        if (Cluster.Trace is { } trace && (effects.Count > 0 || before != state.Phase))
        {
            trace.Note($"{Agent.Host.Id} target {Replica} of {VmId} <- {input} => {state.Phase} | {string.Join(", ", effects)}");
        }

        foreach (TargetEffect effect in effects)
        {
            Start(effect);
        }

        if (input is TargetInput.ImageComplete complete)
        {
            AnswerComplete(complete);
        }

        if (Cluster.Mutator.DestroysImagesOnAbort && before == TargetPhase.Ready && input is TargetInput.Abort)
        {
            RunUntilDone(DestroyShellAsync);
        }
    }

    private void Start(TargetEffect effect)
    {
        switch (effect)
        {
            case TargetEffect.Report report: Agent.Tell(report.Message, Command.Epoch); break;
            case TargetEffect.BuildShell build: Run(() => BuildShellAsync(build.Command)); break;
            case TargetEffect.AppendTransfer append: Transfer(append.Request); break;
            case TargetEffect.ReadOwnership: Read(); break;
            case TargetEffect.StartGuest start: Start(start.Decision); break;
            case TargetEffect.TellSource tell: TellSource(tell); break;
            case TargetEffect.DestroyShell: RunUntilDone(DestroyShellAsync); break;
            case TargetEffect.Forget: Agent.Forget(this); break;
            default: throw new InvalidOperationException($"{effect.GetType().Name} is no effect of a target.");
        }
    }

    /// <summary>A driver starts nothing that the decision does not name.</summary>
    private void Start(OwnershipView decision)
    {
        if ((decision.OwnerHostId, decision.OwnerOperationId, decision.OwnerReplica) != (Agent.Host.Id, OperationId, Replica))
        {
            throw new InvariantException("R2", $"{VmId} is started by a decision that names replica {decision.OwnerReplica} of {decision.OwnerOperationId} on {decision.OwnerHostId}.");
        }

        Run(StartGuestAsync);
    }

    private void Read() => Read(view => new TargetInput.OwnershipObserved(view), detail => new TargetInput.OwnershipUnanswered(detail));

    private void Transfer(TransferOwnership request)
    {
        if (Cluster.Mutator.TargetRunsOnVote)
        {
            Run(StartGuestAsync);
        }

        TransferOwnership asked = Cluster.Mutator.Asked(request, Cluster.Truth.ViewOf(VmId));
        Append(ownership => ownership.TransferAsync(VmId, asked, CancellationToken.None), answer => new TargetInput.CommitAnswered(answer), detail => new TargetInput.OwnershipUnanswered(detail));
    }

    private async Task BuildShellAsync(StartReplica command)
    {
        bool powerOn = command.Kind == OperationKind.PowerOn;
        bool fails = Faults.Strikes(Fault.ShellFailure);
        await Life.Pause(TimeSpan.FromMilliseconds(Cluster.Links.Random.Uniform(1, 80)));
        if (fails)
        {
            Post(new TargetInput.ShellFailed(new Reason("shell-failed", "The host has no memory left.")));
            return;
        }

        Shell = Agent.Host.Build(VmId, command.OperationId, command.Replica, command.Epoch, powerOn);
        covered = new bool[Shell.Pages.Length];
        WatchShell();
        if (powerOn)
        {
            await JournalAsync();
            if (Faults.Strikes(Fault.JournalFailure))
            {
                RunUntilDone(async () =>
                {
                    await HypervisorAsync("destroy");
                    Destroy();
                    Post(new TargetInput.ShellFailed(new Reason("shell-failed", "The journal could not be written.")));
                });
                return;
            }

            Agent.Host.Journal.WriteImage(new KeptImage(command, 0, NoImage, 0));
        }
        else
        {
            session = Session.Waiting;
        }

        Post(new TargetInput.ShellBuilt(powerOn ? null : "10.0.0.1:7000", NoImage));
    }

    private void Apply(StreamRecord.Data data)
    {
        if (Shell is not { State: not null } shell)
        {
            return;
        }

        foreach ((int page, ulong value) in data.Pages)
        {
            shell.Pages[page] = value;
            covered[page] = true;
        }
    }

    /// <summary>Every page of an incarnation is here. It is written down before READY leaves.</summary>
    private async Task CompleteAsync(StreamRecord.Complete complete)
    {
        bool whole = Shell is { State: not null } && Array.TrueForAll(covered, page => page) && Guest.DigestOf(Shell.Pages) == complete.Digest;
        await JournalAsync();
        if (session != Session.Receiving || IsClosed)
        {
            return;
        }

        if (!whole || Shell?.State is null || Faults.Strikes(Fault.JournalFailure))
        {
            Stream!.ToSource(new StreamRecord.Abort("The image is not whole, or could not be kept."));
            EndOfStream(new StreamRecord.End("The image is not whole, or could not be kept."));
            return;
        }

        Agent.Host.Journal.WriteImage(new KeptImage(Command, complete.Incarnation, complete.Digest, complete.OwnershipVersion));
        session = Session.Complete;
        Post(new TargetInput.ImageComplete(complete.Incarnation, complete.Digest, complete.OwnershipVersion));
    }

    /// <summary>READY leaves only when the state machine has the image: one that was ended just before destroys the shell, and nobody may count on it.</summary>
    private void AnswerComplete(TargetInput.ImageComplete complete)
    {
        if (session != Session.Complete)
        {
            return;
        }

        if (state.Phase == TargetPhase.Ready)
        {
            Stream!.ToSource(new StreamRecord.Ready(complete.Incarnation, complete.Digest));
            return;
        }

        Stream!.ToSource(new StreamRecord.Abort("The replica is over."));
        EndSession("The replica is over.");
    }

    private void EndOfStream(StreamRecord.End end)
    {
        if (session == Session.Voted)
        {
            // The session reads nothing now: it finds the end when the vote is settled.
            unread.Enqueue(end);
            return;
        }

        EndSession(end.Detail);
        Post(new TargetInput.StreamLost(new Reason("migration-stream-failed", end.Detail)));
    }

    private void EndSession(string detail)
    {
        if (session != Session.Ended)
        {
            session = Session.Ended;
            Stream?.Close(this, detail);
        }
    }

    /// <summary>A shell that dies takes its image with it, also one that was complete.</summary>
    private void WatchShell() => Agent.Watch(Shell!, () => Post(new TargetInput.GuestLost(new Reason("guest-lost", "The shell's guest ended on its own."))));

    private async Task StartGuestAsync()
    {
        try
        {
            if (Shell is not { State: not null })
            {
                throw new HypervisorFailedException("The guest is gone.");
            }

            if (Shell.State != GuestState.Running)
            {
                await HypervisorAsync("start");
                if (Shell.State is null)
                {
                    throw new HypervisorFailedException("The guest is gone.");
                }

                Cluster.Truth.Starting(this, Agent.Host.Journal.ReadImage(OperationId, Replica));
                Shell.Become(GuestState.Running);
            }
        }
        catch (HypervisorFailedException error)
        {
            Post(new TargetInput.GuestStartFailed(error.Message));
            return;
        }

        Agent.GuestOwned(Shell);
        Agent.Host.Journal.ClearImage(OperationId, Replica);
        Post(new TargetInput.GuestStarted());
    }

    private void TellSource(TargetEffect.TellSource tell)
    {
        if (session != Session.Voted)
        {
            return;
        }

        session = tell.Resumed ? Session.Ended : Session.Complete;
        Stream!.ToSource(tell.Resumed ? new StreamRecord.Resumed() : new StreamRecord.Refused(tell.Detail));
        if (tell.Resumed)
        {
            Stream.Close(this, "The guest runs here.");
            return;
        }

        while (session != Session.Voted && unread.TryDequeue(out StreamRecord? record))
        {
            Arrived(record);
        }
    }

    private async Task DestroyShellAsync()
    {
        EndSession("The shell is destroyed.");
        await HypervisorAsync("destroy");
        Destroy();
        Agent.Host.Journal.ClearImage(OperationId, Replica);
        Post(new TargetInput.ShellDestroyed());
    }

    private void Destroy()
    {
        if (Shell is { State: not null } shell)
        {
            Agent.GuestGone(shell);
            shell.Become(null);
        }
    }
}
