using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>The source host: the agent's state machine, its journal, its guest. The guest survives the agent.</summary>
public sealed class SimulatedSource
{
    private readonly SimulatedMesh mesh;
    private readonly Dictionary<int, SimulatedStream> streams = [];
    private readonly Dictionary<int, int> rounds = [];
    private readonly HashSet<long> votes = [];
    private JournaledVote? journal;
    private SourceState? state;
    private bool recovering;
    private int life;
    private int resumes;

    public SimulatedSource(SimulatedMesh mesh)
    {
        this.mesh = mesh;
        Guest = mesh.Kind == OperationKind.Migrate ? GuestState.Running : null;
    }

    /// <summary>How the guest stands; null when it is not here.</summary>
    public GuestState? Guest { get; private set; }

    /// <summary>The image as it is now: it changes whenever the guest has run.</summary>
    public string Image => $"image-{resumes}";

    public SimulatedStream? StreamTo(int replica) => streams.GetValueOrDefault(replica);

    public void Receive(ConnectReplica command) =>
        WithState(command.Epoch, command.OwnershipVersion, () => Hear(new SourceInput.Join(command)), retry: () => Receive(command));

    public void Receive(AbortReplica command) => Hear(new SourceInput.Abort(command));

    public void Receive(ReleaseSource command) =>
        WithState(command.Epoch, 0, () => Hear(new SourceInput.Release()), retry: () => Receive(command));

    public void Hear(SourceInput input)
    {
        if (state is null || recovering)
        {
            return;
        }

        SourceInput heard = Mutated(input);
        long voted = state.OwnershipVersion;
        (state, IReadOnlyList<SourceEffect> effects) = SourceProtocol.Step(state, heard, SourceLimits.Default, mesh.Now);
        mesh.Note($"source <- {heard} => {state.Phase} | {string.Join(", ", effects)}");
        if (mesh.Mutation == Mutation.SourceVotesTwice)
        {
            state = state with { OwnershipVersion = Math.Min(voted, state.OwnershipVersion) };
        }

        foreach (SourceEffect effect in effects)
        {
            Carry(effect);
        }

        if (mesh.Strikes(mesh.CrashShare))
        {
            Crash();
        }
    }

    private void WithState(int epoch, long version, Action then, Action retry)
    {
        if (recovering)
        {
            mesh.After(TimeSpan.FromMilliseconds(300), retry);
            return;
        }

        if (state is null)
        {
            state = new SourceState(mesh.Id, SimulatedMesh.Vm, SimulatedMesh.SourceHost, epoch, version);
            Tick(life);
        }

        then();
    }

    private void Tick(int born) => mesh.After(TimeSpan.FromMilliseconds(400), () =>
    {
        if (born == life && state is { Destroyed: null })
        {
            Dictionary<int, ReplicaCounters> counters = state.Live.ToDictionary(r => r.Replica, r => r.Counters with { ElapsedMs = r.Counters.ElapsedMs + 400 });
            Hear(new SourceInput.Tick(counters));
            Tick(born);
        }
    });

    private void Carry(SourceEffect effect)
    {
        switch (effect)
        {
            case SourceEffect.OpenStream open: Open(open.Command.Replica); break;
            case SourceEffect.RunRound run: RunRound(run.Replica); break;
            case SourceEffect.SuspendGuest: Soon(Suspend); break;
            case SourceEffect.FinishReplica finish: streams[finish.Replica].ToTarget(new TargetInput.ImageComplete(finish.Incarnation, Image, finish.OwnershipVersion)); break;
            case SourceEffect.JournalVote vote: Journal(vote); break;
            case SourceEffect.SendVote vote: Vote(vote); break;
            case SourceEffect.AppendRefusal refusal: Refuse(refusal); break;
            case SourceEffect.ReadOwnership: Read(view => Hear(new SourceInput.OwnershipObserved(view)), () => Hear(new SourceInput.OwnershipUnanswered("lost"))); break;
            case SourceEffect.ResumeGuest: Resume(); Soon(() => Hear(new SourceInput.GuestResumed())); break;
            case SourceEffect.CloseStream close: streams.GetValueOrDefault(close.Replica)?.Close(close.Reason); break;
            case SourceEffect.DestroyGuest: Destroy(); Soon(() => Hear(new SourceInput.GuestDestroyed())); break;
            case SourceEffect.Report { Message: ReplicaRoundCompleted round }: mesh.ToService(new ReplicaRoundsReported(mesh.Id, state!.Epoch, [round])); break;
            case SourceEffect.Report report: mesh.ToService(report.Message); break;
            case SourceEffect.Forget: (state, journal) = (null, null); life++; break;
        }
    }

    private void Open(int replica) => Soon(() =>
    {
        bool listens = mesh.Targets.TryGetValue(replica, out SimulatedTarget? target) && target.Listens;
        if (!listens || mesh.Strikes())
        {
            Hear(new SourceInput.StreamFailed(replica, new Reason("connection-refused", "Nobody listens."), ReplicaCounters.None));
            return;
        }

        streams[replica] = new SimulatedStream(mesh, replica);
        Hear(new SourceInput.StreamOpened(replica));
    });

    private void RunRound(int replica)
    {
        int born = life;
        double ms = mesh.Random.Uniform(20, mesh.Strikes(3) ? 4000 : 300);
        mesh.After(TimeSpan.FromMilliseconds(ms), () =>
        {
            if (born != life || state is null || !streams[replica].IsOpen)
            {
                return;
            }

            int round = rounds[replica] = rounds.GetValueOrDefault(replica) + 1;
            long pending = mesh.Random.NextInt(3) == 0 ? 10 : 100_000;
            ReplicaCounters counters = state.Replicas[replica].Counters;
            counters = new ReplicaCounters(counters.BytesSent + 4096, counters.PagesSent + 1, round, 0, counters.ElapsedMs + ms);
            ReplicaRoundCompleted ended = new(mesh.Id, replica, state.Replicas[replica].Command.TargetHostId, round, false, 1, 0, 4096, ms, 0, pending, 100e6, mesh.Now);
            Hear(new SourceInput.RoundEnded(ended, counters));
        });
    }

    private void Suspend()
    {
        if (mesh.Strikes())
        {
            Hear(new SourceInput.SuspendFailed("busy"));
            return;
        }

        Guest = GuestState.Suspended;
        Hear(new SourceInput.GuestSuspended());
    }

    private void Journal(SourceEffect.JournalVote vote)
    {
        if (mesh.Strikes(0.3))
        {
            Soon(() => Hear(new SourceInput.JournalFailed("disk full")));
            return;
        }

        Soon(() =>
        {
            if (!votes.Add(vote.OwnershipVersion))
            {
                mesh.Violated($"the source voted twice at version {vote.OwnershipVersion}");
            }

            journal = new JournaledVote(mesh.Id, vote.Replica, vote.TargetHostId, state!.Epoch, vote.OwnershipVersion, vote.Incarnation, vote.Digest);
            Hear(new SourceInput.VoteJournaled());
        });
    }

    private void Vote(SourceEffect.SendVote vote)
    {
        streams[vote.Replica].ToTarget(new TargetInput.VoteReceived(vote.OwnershipVersion, vote.Incarnation, vote.Epoch));
        if (mesh.Mutation == Mutation.SourceDestroysEarly)
        {
            Destroy();
        }
    }

    private void Refuse(SourceEffect.AppendRefusal refusal)
    {
        if (mesh.Mutation == Mutation.SourceResumesOnTimeout)
        {
            OwnershipView view = mesh.View with { OwnerHostId = SimulatedMesh.SourceHost, Epoch = state!.Epoch, Version = refusal.OwnershipVersion + 1 };
            Soon(() => Hear(new SourceInput.RefusalAnswered(new OwnershipAnswer(true, view, null))));
            return;
        }

        RefuseTransfer request = new(mesh.Id, SimulatedMesh.SourceHost, state!.Epoch, refusal.OwnershipVersion, refusal.Reason);
        int born = life;
        mesh.Call(
            view => OwnershipDecider.Refuse(view, request),
            answer => Alive(born, () => Hear(new SourceInput.RefusalAnswered(answer))),
            () => Alive(born, () => Hear(new SourceInput.OwnershipUnanswered("lost"))));
    }

    /// <summary>With the mutation: what a source without the check for late answers would take them for.</summary>
    private SourceInput Mutated(SourceInput input) =>
        mesh.Mutation == Mutation.SourceBelievesAnyRefusalAnswer && input is SourceInput.RefusalAnswered { Answer: { Accepted: true } answer } && state is { Phase: SourcePhase.Refusing }
            ? new SourceInput.RefusalAnswered(answer with { View = answer.View with { Version = Math.Max(answer.View.Version, state.OwnershipVersion + 1) } })
            : input;

    private void Read(Action<OwnershipView> answered, Action unanswered)
    {
        int born = life;
        mesh.Call(_ => new OwnershipDecision(true, [], null), answer => Alive(born, () => answered(answer.View)), () => Alive(born, unanswered));
    }

    private void Resume()
    {
        if (mesh.View.OwnerHostId != SimulatedMesh.SourceHost)
        {
            mesh.Violated("R5: the source runs a machine that it has given away");
        }

        Guest = GuestState.Running;
        resumes++;
        foreach (SimulatedStream stream in streams.Values)
        {
            stream.ToTarget(new TargetInput.ImageVoided());
        }
    }

    private void Destroy()
    {
        if (mesh.View.OwnerHostId == SimulatedMesh.SourceHost)
        {
            mesh.Violated("R4: the source destroyed its copy before another host owned the machine");
        }

        Guest = null;
    }

    private void Crash()
    {
        mesh.Note("source crashes");
        (state, recovering) = (null, true);
        life++;
        foreach (SimulatedStream stream in streams.Values)
        {
            stream.Break();
        }

        mesh.After(TimeSpan.FromMilliseconds(mesh.Random.Uniform(100, 3000)), Recover);
    }

    private void Recover() => Read(view => Recovered(view, refusedAt: null), () => mesh.After(TimeSpan.FromMilliseconds(300), Recover));

    private void Recovered(OwnershipView view, long? refusedAt)
    {
        if (Guest is not { } guest)
        {
            recovering = false;
            return;
        }

        FoundGuest found = new(SimulatedMesh.Vm, SimulatedMesh.SourceHost, guest, null, 0, journal, RefusedAt: refusedAt);
        (RecoveryAction action, Reason reason) = Recovery.Decide(found, view);
        mesh.Note($"source recovers: {action} ({reason.Code})");
        switch (action)
        {
            case RecoveryAction.Resume: Resume(); break;
            case RecoveryAction.Destroy: Destroy(); break;
            case RecoveryAction.RefuseFirst: RefuseAndRecover(view); return;
        }

        recovering = false;
    }

    private void RefuseAndRecover(OwnershipView read)
    {
        RefuseTransfer request = new(mesh.Id, SimulatedMesh.SourceHost, read.Epoch, read.Version, new Reason("crashed", "The source starts again."));
        mesh.Call(
            view => OwnershipDecider.Refuse(view, request),
            answer => Recovered(answer.View, answer.Accepted ? read.Version : null),
            () => mesh.After(TimeSpan.FromMilliseconds(300), Recover));
    }

    private void Soon(Action action)
    {
        int born = life;
        mesh.After(TimeSpan.FromMilliseconds(mesh.Random.Uniform(0, 4)), () => Alive(born, action));
    }

    private void Alive(int born, Action action)
    {
        if (born == life)
        {
            action();
        }
    }
}
