using System.Text;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hosting;
using SpecMesh.Hypervisors;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>
/// The shell around <see cref="TargetProtocol"/> for one replica: it builds the paused guest, receives its memory, commits, resumes or destroys it, as the protocol says.
/// </summary>
public sealed class TargetReplica : ProtocolShell<TargetInput>
{
    /// <summary>Digest of a machine that is built and not copied.</summary>
    private const string NoImage = "0000000000000000";

    private TargetState state;
    private IGuest? guest;
    private MigrationReceiver? receiver;
    private TaskCompletionSource<bool>? imageTaken;

    /// <summary>A replica that this host is told to prepare.</summary>
    internal TargetReplica(Agent agent, StartReplica command)
        : base(agent, command.OperationId, command.VmId)
    {
        state = new TargetState(command);
        StartTicks(() => Post(new TargetInput.Tick()));
    }

    /// <summary>A replica whose shell an earlier agent has left. Its migration stream ended with that agent. <see cref="Recover"/> follows.</summary>
    internal TargetReplica(Agent agent, StartReplica command, IGuest guest)
        : base(agent, command.OperationId, command.VmId)
    {
        state = new TargetState(command);
        this.guest = guest;
    }

    /// <summary>What the replica was told to prepare.</summary>
    public StartReplica Command => state.Command;

    internal override void LookAgain() => Read();

    /// <summary>Goes on where the earlier agent was, as <see cref="Recovery"/> decided.</summary>
    internal void Recover(RecoveryAction action, Reason reason, OwnershipView view, JournaledImage? image)
    {
        (int, string, long)? complete = image is null ? null : (image.Incarnation, image.Digest, image.OwnershipVersion);
        (state, IReadOnlyList<TargetEffect> effects) = TargetProtocol.Recovered(Command, action, reason, view, complete, Agent.Time.GetUtcNow());
        foreach (TargetEffect effect in effects)
        {
            Start(effect);
        }

        WatchGuest(guest!);
        StartTicks(() => Post(new TargetInput.Tick()));
    }

    private protected override void Step(TargetInput input)
    {
        (state, IReadOnlyList<TargetEffect> effects) = TargetProtocol.Step(state, input, Agent.Time.GetUtcNow());
        foreach (TargetEffect effect in effects)
        {
            Start(effect);
        }

        if (input is TargetInput.ImageComplete)
        {
            imageTaken?.TrySetResult(state.Phase == TargetPhase.Ready);
        }
    }

    /// <summary>Lets go of a shell that is undecided: the next agent finds it. One that runs belongs to the agent, and one that is destroyed is gone.</summary>
    private protected override async Task CloseAsync()
    {
        await (receiver?.DisposeAsync() ?? ValueTask.CompletedTask);
        if (guest is not null && !Agent.Owns(guest))
        {
            await guest.DisposeAsync();
        }
    }

    private void Start(TargetEffect effect)
    {
        switch (effect)
        {
            case TargetEffect.Report report: Agent.Tell(report.Message, Command.Epoch); break;
            case TargetEffect.BuildShell build: Run(() => BuildShellAsync(build.Command)); break;
            case TargetEffect.AppendTransfer append: Append(token => TransferAsync(append.Request, token), Unanswered); break;
            case TargetEffect.ReadOwnership: Read(); break;
            case TargetEffect.StartGuest start: Run(() => StartGuestAsync(start.Decision)); break;
            case TargetEffect.TellSource tell: TellSource(tell); break;
            case TargetEffect.DestroyShell: RunUntilDone(DestroyShellAsync); break;
            case TargetEffect.Forget: Agent.Forget(this); break;
            default: throw new InvalidOperationException($"{effect.GetType().Name} is no effect of a target.");
        }
    }

    private void Read() => Read(view => new TargetInput.OwnershipObserved(view), Unanswered);

    private static TargetInput.OwnershipUnanswered Unanswered(string detail) => new(detail);

    private async Task<TargetInput> TransferAsync(TransferOwnership commit, CancellationToken token) =>
        new TargetInput.CommitAnswered(await Agent.OwnershipLog.TransferAsync(VmId, commit, token));

    private async Task BuildShellAsync(StartReplica command)
    {
        try
        {
            Agent.Faults.ThrowIfStartFails();
            bool powerOn = command.Kind == OperationKind.PowerOn;
            GuestTag tag = new(command.VmId, command.OperationId, command.Replica, command.Epoch);
            GuestSpec spec = new(tag, command.Vm);
            if (powerOn)
            {
                guest = await Agent.Hypervisor.BuildPausedAsync(spec, Ended);

                // The commit follows at once, and may succeed after a crash.
                Agent.Journal.WriteImage(new JournaledImage(command, 0, NoImage));
            }
            else
            {
                IShell shell = await Agent.Hypervisor.BuildShellAsync(spec, Ended);
                guest = shell;
                receiver = Expect(command, shell);
                Run(() => ListenAsync(receiver));
            }

            WatchGuest(guest);
            Post(new TargetInput.ShellBuilt(powerOn ? null : Agent.DataEndpoint, NoImage));
        }
        catch (Exception error) when (!Ended.IsCancellationRequested)
        {
            TargetInput.ShellFailed failed = new(new Reason("shell-failed", error.Message));
            RunUntilDone(async () =>
            {
                await (guest?.DestroyAsync(Ended) ?? Task.CompletedTask);
                Post(failed);
            });
        }
    }

    private MigrationReceiver Expect(StartReplica command, IShell shell)
    {
        ReplicaIdentity identity = new(new ReplicaKey(command.OperationId, command.Replica, command.Epoch), command.VmId, command.Vm.MemoryBytes);
        byte[] token = ReplicaToken.Derive(Encoding.UTF8.GetBytes(Agent.Options.ClusterKey), identity);
        return Agent.Listener.Expect(identity, token, shell, Agent.Faults.Take(), image => Keep(command, shell, image));
    }

    /// <summary>Before READY leaves: after it this image may be the only whole one, so an agent that comes after this one must know that it is whole.</summary>
    private void Keep(StartReplica command, IGuest shell, ImageCompleted image)
    {
        if (shell.State is null)
        {
            throw new HypervisorException("The shell's guest is gone.");
        }

        Agent.Journal.WriteImage(new JournaledImage(command, image.Incarnation, image.Digest, image.OwnershipVersion));

        // READY leaves only when the state machine has the image: one that was ended just before destroys the shell, and nobody may count on it; one that is ended later asks first.
        TaskCompletionSource<bool> taken = new(TaskCreationOptions.RunContinuationsAsynchronously);
        imageTaken = taken;
        Post(new TargetInput.ImageComplete(image.Incarnation, image.Digest, image.OwnershipVersion));
        if (!taken.Task.WaitAsync(Ended).GetAwaiter().GetResult())
        {
            throw new HypervisorException("The replica is over.");
        }

        Agent.Reach(FaultPoints.Ready, OperationId);
    }

    private async Task ListenAsync(MigrationReceiver session)
    {
        await foreach (ReceiverEvent happened in session.Events.ReadAllAsync(Ended))
        {
            switch (happened)
            {
                case ImageVoided:
                    Agent.TryClearImage(OperationId, Command.Replica);
                    Post(new TargetInput.ImageVoided());
                    break;
                case VoteReceived vote: Post(new TargetInput.VoteReceived(vote.OwnershipVersion, vote.Incarnation, vote.Epoch)); break;
                case SourceAborted aborted: Post(new TargetInput.SourceAborted(new Reason("aborted-by-source", aborted.Reason))); break;
                case MigrationFailed failed: Post(new TargetInput.StreamLost(new Reason("migration-stream-failed", failed.Reason))); break;
            }
        }
    }

    /// <summary>A shell that dies takes its image with it, also one that was complete: nothing may be committed on it.</summary>
    private void WatchGuest(IGuest shell) => shell.Exited.ContinueWith(
        _ => Post(new TargetInput.GuestLost(new Reason("guest-lost", "The shell's guest ended on its own."))),
        Ended,
        TaskContinuationOptions.None,
        TaskScheduler.Default);

    private async Task StartGuestAsync(OwnershipView decision)
    {
        try
        {
            await Agent.ReachAsync(FaultPoints.Appended, OperationId, Ended);
            if (guest!.State != GuestState.Running)
            {
                await guest.StartAsync(DurableCommit.Of(decision, Agent.Options.HostId), Ended);
                await Agent.ReachAsync(FaultPoints.Resumed, OperationId, Ended);
            }
        }
        catch (HypervisorException error)
        {
            Agent.Logger.OwnedGuestNotStarted(VmId, error);
            Post(new TargetInput.GuestStartFailed(error.Message));
            return;
        }

        Agent.GuestOwned(guest);
        Agent.TryClearImage(OperationId, Command.Replica);
        Post(new TargetInput.GuestStarted());
    }

    /// <summary>In step with the state machine: the migration stream must not be closed before its last word is written.</summary>
    private void TellSource(TargetEffect.TellSource tell)
    {
        if (receiver is not { State: ReceiverState.Voted } session)
        {
            return;
        }

        try
        {
            bool told = tell.Resumed ? session.ReportResumed() : session.ReportRefused(tell.Detail);
            if (!told)
            {
                Agent.Logger.SourceNotTold(OperationId, tell.Detail);
            }
        }
        catch (InvalidOperationException)
        {
            // The agent stops, and has closed the session between the look and the word.
            Agent.Logger.SourceNotTold(OperationId, tell.Detail);
        }
    }

    private async Task DestroyShellAsync()
    {
        await (receiver?.DisposeAsync() ?? ValueTask.CompletedTask);
        await (guest?.DestroyAsync(Ended) ?? Task.CompletedTask);
        await Agent.ReachAsync(FaultPoints.LosersCleaned, OperationId, Ended);
        Agent.TryClearImage(OperationId, Command.Replica);
        Post(new TargetInput.ShellDestroyed());
    }
}
