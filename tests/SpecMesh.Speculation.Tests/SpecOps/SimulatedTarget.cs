using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>One replica on its target host: the agent's state machine and the shell. The shell, its tag and the journal survive the agent.</summary>
public sealed class SimulatedTarget(SimulatedMesh mesh, int replica, string host)
{
    private StartReplica? command;
    private TargetState? state;
    private (int Incarnation, string Digest, long OwnershipVersion)? complete;
    private bool recovering;
    private bool gone;
    private int life;

    public string Host { get; } = host;

    /// <summary>How the shell stands; null when there is none.</summary>
    public GuestState? Shell { get; private set; }

    /// <summary>True when a migration stream may be opened to it.</summary>
    public bool Listens => !recovering && state is { Phase: TargetPhase.Receiving };

    public void Receive(StartReplica start)
    {
        if (gone)
        {
            mesh.ToService(new ReplicaCleaned(mesh.Id, replica, Host));
            return;
        }

        if (state is null && !recovering)
        {
            command = start;
            state = new TargetState(start);
            Tick(life);
        }

        Hear(new TargetInput.Start());
    }

    /// <summary>An abort may overtake the command to begin; that this replica is over is remembered then.</summary>
    public void Receive(AbortReplica abort)
    {
        if (recovering)
        {
            mesh.After(TimeSpan.FromMilliseconds(300), () => Receive(abort));
        }
        else if (state is null)
        {
            gone = true;
            mesh.ToService(new ReplicaCleaned(mesh.Id, replica, Host));
        }
        else
        {
            Hear(new TargetInput.Abort(abort));
        }
    }

    public void Receive(ConfirmReplica confirm)
    {
        if (!recovering && Shell == GuestState.Running)
        {
            mesh.ToService(new ReplicaResumed(confirm.OperationId, confirm.Replica, Host, mesh.Now));
        }
    }

    public void Hear(TargetInput input)
    {
        if (state is null || recovering)
        {
            return;
        }

        TargetPhase before = state.Phase;
        (state, IReadOnlyList<TargetEffect> effects) = TargetProtocol.Step(state, input, mesh.Now);
        mesh.Note($"target {replica} on {Host} <- {input} => {state.Phase} | {string.Join(", ", effects)}");
        if (state.Phase == TargetPhase.Ready && input is TargetInput.ImageComplete image)
        {
            complete = (image.Incarnation, image.Digest, image.OwnershipVersion);
            mesh.Source.StreamTo(replica)?.ToSource(new SourceInput.ReadyReceived(replica, image.Incarnation, image.Digest));
        }

        if (state.Phase == TargetPhase.Receiving && before == TargetPhase.Ready)
        {
            complete = null;
        }

        foreach (TargetEffect effect in effects)
        {
            Carry(effect);
        }

        if (mesh.Strikes(mesh.CrashShare))
        {
            Crash();
        }
    }

    private void Tick(int born) => mesh.After(TimeSpan.FromMilliseconds(700), () =>
    {
        if (born == life && state is { Phase: not (TargetPhase.Gone or TargetPhase.Running) })
        {
            Hear(new TargetInput.Tick());
            Tick(born);
        }
    });

    private void Carry(TargetEffect effect)
    {
        switch (effect)
        {
            case TargetEffect.BuildShell: Soon(Build); break;
            case TargetEffect.AppendTransfer append: Append(append.Request); break;
            case TargetEffect.ReadOwnership: Read(view => Hear(new TargetInput.OwnershipObserved(view)), () => Hear(new TargetInput.OwnershipUnanswered("lost"))); break;
            case TargetEffect.StartGuest: Soon(StartGuest); break;
            case TargetEffect.TellSource { Resumed: true }: mesh.Source.StreamTo(replica)?.ToSource(new SourceInput.ResumedHint(replica)); break;
            case TargetEffect.TellSource: mesh.Source.StreamTo(replica)?.Break(); break;
            case TargetEffect.DestroyShell: Soon(Destroy); break;
            case TargetEffect.Report report: mesh.ToService(report.Message); break;
            case TargetEffect.Forget: gone = true; break;
        }
    }

    private void Build()
    {
        if (mesh.Strikes())
        {
            Hear(new TargetInput.ShellFailed(new Reason("no-memory", "The host has none left.")));
            return;
        }

        Shell = GuestState.Paused;
        complete = command!.Kind == OperationKind.PowerOn ? (0, "built", 0) : null;
        Hear(new TargetInput.ShellBuilt(command!.Kind == OperationKind.PowerOn ? null : "127.0.0.1:7000", "built"));
    }

    private void Append(TransferOwnership request)
    {
        if (mesh.Mutation == Mutation.TargetRunsOnVote)
        {
            Soon(StartGuest);
        }

        TransferOwnership Asked(OwnershipView view) => mesh.Mutation == Mutation.AppendWithoutExpectedVersion ? request with { ExpectedVersion = view.Version, Epoch = view.Epoch } : request;
        int born = life;
        mesh.Call(
            view => OwnershipDecider.Transfer(view, Asked(view)),
            answer => Alive(born, () => Hear(new TargetInput.CommitAnswered(answer))),
            () => Alive(born, () => Hear(new TargetInput.OwnershipUnanswered("lost"))));
    }

    private void StartGuest()
    {
        if (mesh.Strikes())
        {
            Hear(new TargetInput.GuestStartFailed("busy"));
            return;
        }

        OwnershipTransferred? latest = mesh.VmEvents.OfType<OwnershipTransferred>().LastOrDefault();
        if (latest is null || (latest.OperationId, latest.Replica, latest.HostId) != (mesh.Id, replica, Host))
        {
            mesh.Violated($"R2: {Host} starts the guest without its own commit");
        }

        if (command!.Kind == OperationKind.Migrate && (complete?.Digest != mesh.Source.Image || latest!.Digest != mesh.Source.Image))
        {
            mesh.Violated($"R3: {Host} starts {complete?.Digest}, committed as {latest!.Digest}, but the source was suspended at {mesh.Source.Image}");
        }

        Shell = GuestState.Running;
        Hear(new TargetInput.GuestStarted());
    }

    private void Destroy()
    {
        Shell = null;
        Hear(new TargetInput.ShellDestroyed());
    }

    private void Crash()
    {
        mesh.Note($"target {replica} on {Host} crashes");
        recovering = true;
        life++;
        mesh.Source.StreamTo(replica)?.Break();
        mesh.After(TimeSpan.FromMilliseconds(mesh.Random.Uniform(100, 3000)), Recover);
    }

    private void Recover() => Read(Recovered, () => mesh.After(TimeSpan.FromMilliseconds(300), Recover));

    private void Recovered(OwnershipView view)
    {
        recovering = false;
        life++;
        if (Shell is not { } shell)
        {
            // Nothing was built, or it was destroyed already: the replica is over, and the operation is told so.
            (gone, state) = (true, null);
            mesh.ToService(new ReplicaCleaned(mesh.Id, replica, Host));
            return;
        }

        (RecoveryAction action, Reason reason) = Recovery.Decide(new FoundGuest(SimulatedMesh.Vm, Host, shell, (mesh.Id, replica), command!.Epoch, null, complete?.OwnershipVersion), view);
        mesh.Note($"target {replica} on {Host} recovers: {action} ({reason.Code})");
        (state, IReadOnlyList<TargetEffect> effects) = TargetProtocol.Recovered(command!, action, reason, complete, mesh.Now);
        Tick(life);
        foreach (TargetEffect effect in effects)
        {
            Carry(effect);
        }
    }

    private void Read(Action<OwnershipView> answered, Action unanswered)
    {
        int born = life;
        mesh.Call(_ => new OwnershipDecision(true, [], null), answer => Alive(born, () => answered(answer.View)), () => Alive(born, unanswered));
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
