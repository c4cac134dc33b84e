using System.Text;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>
/// The shell around <see cref="TargetProtocol"/> for one replica: it builds the paused guest, receives its memory, commits, resumes or destroys it, as the protocol says.
/// </summary>
public sealed class TargetReplica : IAsyncDisposable
{
    /// <summary>Digest of a machine that is built and not copied.</summary>
    private const string NoImage = "0000000000000000";

    private readonly Agent agent;
    private readonly Mailbox<TargetInput> mailbox;
    private readonly CancellationTokenSource ended = new();
    private readonly ITimer ticks;
    private TargetState state;
    private IGuest? guest;
    private MigrationReceiver? receiver;
    private int ownershipCalls;

    internal TargetReplica(Agent agent, StartReplica command)
    {
        this.agent = agent;
        state = new TargetState(command);
        mailbox = new Mailbox<TargetInput>(Step, error => agent.Logger.ProtocolBroken(command.OperationId, error));
        ticks = agent.Time.CreateTimer(_ => Post(new TargetInput.Tick()), null, agent.Options.TickInterval, agent.Options.TickInterval);
    }

    /// <summary>What the replica was told to prepare.</summary>
    public StartReplica Command => state.Command;

    /// <summary>Tells the state machine something.</summary>
    public void Post(TargetInput input) => mailbox.Post(input);

    public async ValueTask DisposeAsync()
    {
        await ended.CancelAsync();
        await ticks.DisposeAsync();
        await mailbox.DisposeAsync();
        if (receiver is not null)
        {
            await receiver.DisposeAsync();
        }

        ended.Dispose();
    }

    private void Step(TargetInput input)
    {
        (state, IReadOnlyList<TargetEffect> effects) = TargetProtocol.Step(state, input, agent.Time.GetUtcNow());
        foreach (TargetEffect effect in effects)
        {
            Start(effect);
        }
    }

    private void Start(TargetEffect effect)
    {
        switch (effect)
        {
            case TargetEffect.Report report: agent.Reports.Tell(report.Message); break;
            case TargetEffect.BuildShell build: Run(() => BuildShellAsync(build.Command)); break;
            case TargetEffect.AppendTransfer append: Run(() => AskOwnershipAsync(append.Request)); break;
            case TargetEffect.ReadOwnership: Run(() => AskOwnershipAsync(null)); break;
            case TargetEffect.StartGuest: Run(StartGuestAsync); break;
            case TargetEffect.TellSource tell: TellSource(tell); break;
            case TargetEffect.DestroyShell: Run(DestroyShellAsync); break;
            case TargetEffect.Forget: agent.Forget(this); break;
            default: throw new InvalidOperationException($"{effect.GetType().Name} is no effect of a target.");
        }
    }

    private void Run(Func<Task> work) => Task.Run(async () =>
    {
        try
        {
            await work();
        }
        catch (OperationCanceledException) when (ended.IsCancellationRequested)
        {
            agent.Logger.EffectDropped(Command.OperationId);
        }
        catch (Exception error)
        {
            agent.Logger.EffectFailed(Command.OperationId, error);
        }
    });

    private async Task BuildShellAsync(StartReplica command)
    {
        try
        {
            agent.Faults.ThrowIfStartFails();
            bool powerOn = command.Kind == OperationKind.PowerOn;
            GuestTag tag = new(command.VmId, command.OperationId, command.Replica, command.Epoch);
            guest = await agent.Hypervisor.BuildPausedAsync(new GuestSpec(tag, command.Vm, powerOn, Prefault: !powerOn), ended.Token);
            if (!powerOn)
            {
                ReplicaIdentity identity = new(new ReplicaKey(command.OperationId, command.Replica, command.Epoch), command.VmId, command.Vm.MemoryBytes);
                byte[] token = ReplicaToken.Derive(Encoding.UTF8.GetBytes(agent.Options.ClusterKey), identity);
                receiver = agent.Listener.Expect(identity, token, guest.Memory, agent.Faults.Take());
                Run(() => ListenAsync(receiver));
            }

            Post(new TargetInput.ShellBuilt(powerOn ? null : agent.DataEndpoint, NoImage));
        }
        catch (Exception error) when (error is HypervisorException or PlatformNotSupportedException or InjectedFaultException)
        {
            Post(new TargetInput.ShellFailed(new Reason("shell-failed", error.Message)));
        }
    }

    private async Task ListenAsync(MigrationReceiver session)
    {
        await foreach (ReceiverEvent happened in session.Events.ReadAllAsync(ended.Token))
        {
            switch (happened)
            {
                case ImageCompleted image: Post(new TargetInput.ImageComplete(image.Incarnation, image.Digest)); break;
                case ImageVoided: Post(new TargetInput.ImageVoided()); break;
                case VoteReceived vote: Post(new TargetInput.VoteReceived(vote.OwnershipVersion, vote.Incarnation, vote.Epoch)); break;
                case SourceAborted aborted: Post(new TargetInput.SourceAborted(new Reason("aborted-by-source", aborted.Reason))); break;
                case MigrationFailed failed: Post(new TargetInput.StreamLost(new Reason("migration-stream-failed", failed.Reason))); break;
            }
        }
    }

    /// <summary>Commits, or reads. One read at a time: the protocol repeats what got no answer.</summary>
    private async Task AskOwnershipAsync(TransferOwnership? commit)
    {
        if (Interlocked.Exchange(ref ownershipCalls, 1) == 1 && commit is null)
        {
            return;
        }

        try
        {
            Post(commit is null
                ? new TargetInput.OwnershipObserved(await agent.OwnershipLog.ReadAsync(Command.VmId, ended.Token))
                : new TargetInput.CommitAnswered(await agent.OwnershipLog.TransferAsync(Command.VmId, commit, ended.Token)));
        }
        catch (Exception error) when (!ended.IsCancellationRequested)
        {
            agent.Logger.OwnershipUnanswered(Command.VmId, error);
            Post(new TargetInput.OwnershipUnanswered(error.Message));
        }
        finally
        {
            Volatile.Write(ref ownershipCalls, 0);
        }
    }

    private async Task StartGuestAsync()
    {
        try
        {
            await guest!.StartAsync(ended.Token);
            agent.GuestOwned(Command.VmId, guest);
            Post(new TargetInput.GuestStarted());
        }
        catch (HypervisorException error)
        {
            agent.Logger.OwnedGuestNotStarted(Command.VmId, error);
            Post(new TargetInput.GuestStartFailed(error.Message));
        }
    }

    /// <summary>In step with the state machine: the migration stream must not be closed before its last word is written.</summary>
    private void TellSource(TargetEffect.TellSource tell)
    {
        if (receiver is { State: ReceiverState.Voted } session)
        {
            bool told = tell.Resumed ? session.ReportResumed() : session.ReportRefused(tell.Detail);
            if (!told)
            {
                agent.Logger.SourceNotTold(Command.OperationId, tell.Detail);
            }
        }
    }

    private async Task DestroyShellAsync()
    {
        if (receiver is not null)
        {
            await receiver.DisposeAsync();
        }

        if (guest is not null)
        {
            await guest.DestroyAsync(ended.Token);
        }

        Post(new TargetInput.ShellDestroyed());
    }
}
