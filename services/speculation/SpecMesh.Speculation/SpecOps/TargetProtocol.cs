using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>
/// The target agent's state machine for one replica. It runs the guest only after its own commit is durable and is the latest decision.
/// </summary>
/// <remarks>
/// <code>
/// Preparing → Receiving ⇄ Ready ─VOTE→ Committing ─accepted→ Starting → Running
///     └──────────┴── ended ──┴── void ─────────┴─refused, void→ Destroying → Gone
/// </code>
/// A power-on goes from Preparing to Committing: there is no source whose vote it needs. A complete image is kept until the event stream shows that it is void: the operation may
/// have ended, but if the source's host is dead this image is all that is left of the machine (services/decisions/0012).
/// </remarks>
public static class TargetProtocol
{
    /// <summary>One step: where the target stands then, and what to do, in order.</summary>
    public static (TargetState State, IReadOnlyList<TargetEffect> Effects) Step(TargetState state, TargetInput input, DateTimeOffset now) => input switch
    {
        TargetInput.Start => Start(state),
        TargetInput.ShellBuilt built => Built(state, built),
        TargetInput.ShellFailed failed => ShellFailed(state, failed),
        TargetInput.ImageComplete complete => ImageComplete(state, complete),
        TargetInput.ImageVoided => (state.Phase == TargetPhase.Ready ? state with { Phase = TargetPhase.Receiving, Digest = "" } : state, []),
        TargetInput.VoteReceived vote => Vote(state, vote),
        TargetInput.CommitGranted granted => Granted(state, granted.Command),
        TargetInput.StreamLost lost => StreamLost(state, lost),
        TargetInput.GuestLost lost => GuestLost(state, lost.Reason),
        TargetInput.SourceAborted aborted => End(state, aborted.Reason, report: false),
        TargetInput.Abort abort => Abort(state, abort.Command),
        TargetInput.CommitAnswered answered => CommitAnswered(state, answered.Answer),
        TargetInput.OwnershipUnanswered => (state, []),
        TargetInput.OwnershipObserved observed => Observed(state, observed.View),
        TargetInput.GuestStarted => Started(state, now),
        TargetInput.GuestStartFailed => (state.Phase == TargetPhase.Starting ? state with { Unanswered = new TargetEffect.StartGuest(state.Decision!) } : state, []),
        TargetInput.ShellDestroyed => Destroyed(state),
        TargetInput.Tick => Tick(state),
        _ => throw new InvalidOperationException($"{input.GetType().Name} is no input of a target."),
    };

    /// <summary>
    /// Where a target stands that has started again and found its shell. A complete image is kept whatever else is forgotten: its commit may have been asked for before
    /// the crash, and may still succeed after it.
    /// </summary>
    /// <param name="command">What the replica was told to prepare, from the shell's tag.</param>
    /// <param name="action">What <see cref="Recovery.Decide"/> says about the shell.</param>
    /// <param name="reason">Why.</param>
    /// <param name="view">What the ownership event stream says, by which that was decided.</param>
    /// <param name="image">The image that the journal holds as complete, written before READY or a commit left; null when there is none.</param>
    /// <param name="now">The target's clock.</param>
    public static (TargetState State, IReadOnlyList<TargetEffect> Effects) Recovered(
        StartReplica command, RecoveryAction action, Reason reason, OwnershipView view, (int Incarnation, string Digest, long OwnershipVersion)? image, DateTimeOffset now)
    {
        TargetState found = new(command)
        {
            Building = true,
            Incarnation = image?.Incarnation ?? 0,
            Digest = image?.Digest ?? "",
            ImageVersion = image?.OwnershipVersion ?? 0,
            VotedVersion = command.OwnershipVersion,
        };
        switch (action)
        {
            case RecoveryAction.Adopt:
                return Started(found with { Phase = TargetPhase.Starting }, now);
            case RecoveryAction.Resume:
                return (found with { Phase = TargetPhase.Starting, Decision = view }, [new TargetEffect.StartGuest(view)]);
            case RecoveryAction.Keep when image is not null && command.Kind == OperationKind.PowerOn:
                (TargetState committing, TargetEffect append) = Commit(found);
                return (committing, [append]);
            case RecoveryAction.Keep when image is not null:
                return (found with { Phase = TargetPhase.Ready, Unanswered = new TargetEffect.ReadOwnership() }, [new TargetEffect.ReadOwnership()]);
            case RecoveryAction.Keep:
                return Destroy(found with { Phase = TargetPhase.Receiving }, new Reason("agent-restarted", "The agent started again before the image was complete."), report: true);
            case RecoveryAction.Destroy:
                return Destroy(found with { Phase = TargetPhase.Receiving }, reason, report: true);
            default:
                throw new InvalidOperationException($"{action} is nothing that a shell needs.");
        }
    }

    /// <summary>The command may come twice, and after the replica's end: a shell is built once.</summary>
    private static (TargetState, IReadOnlyList<TargetEffect>) Start(TargetState state) => state switch
    {
        { Phase: TargetPhase.Preparing, Building: false } => (state with { Building = true }, [new TargetEffect.BuildShell(state.Command)]),
        { Phase: TargetPhase.Gone } => (state, [new TargetEffect.Report(Cleaned(state))]),
        _ => (state, []),
    };

    /// <summary>The shell is built. A power-on commits at once; a migration waits for pages. One that was ended meanwhile is destroyed.</summary>
    private static (TargetState, IReadOnlyList<TargetEffect>) Built(TargetState state, TargetInput.ShellBuilt built)
    {
        StartReplica command = state.Command;
        if (state.Phase == TargetPhase.Destroying)
        {
            return (state, [new TargetEffect.DestroyShell(state.EndReason!)]);
        }

        if (state.Phase != TargetPhase.Preparing)
        {
            return (state, []);
        }

        ReplicaStarted started = new(command.OperationId, command.Replica, command.Epoch, command.HostId, built.DataEndpoint);
        if (command.Kind != OperationKind.PowerOn)
        {
            return (state with { Phase = TargetPhase.Receiving }, [new TargetEffect.Report(started)]);
        }

        TargetState ready = state with { Digest = built.Digest, VotedVersion = command.OwnershipVersion };
        (TargetState committing, TargetEffect append) = Commit(ready);
        return (committing, [new TargetEffect.Report(started), new TargetEffect.Report(ReadyReport(ready)), append]);
    }

    private static (TargetState, IReadOnlyList<TargetEffect>) ShellFailed(TargetState state, TargetInput.ShellFailed failed) =>
        state.Phase is TargetPhase.Preparing or TargetPhase.Destroying
            ? (state with { Phase = TargetPhase.Gone }, [new TargetEffect.Report(Failed(state, failed.Reason)), new TargetEffect.Report(Cleaned(state)), new TargetEffect.Forget()])
            : (state, []);

    private static (TargetState, IReadOnlyList<TargetEffect>) ImageComplete(TargetState state, TargetInput.ImageComplete complete)
    {
        if (state.Phase is not (TargetPhase.Receiving or TargetPhase.Ready))
        {
            return (state, []);
        }

        TargetState ready = state with { Phase = TargetPhase.Ready, Incarnation = complete.Incarnation, Digest = complete.Digest, ImageVersion = complete.OwnershipVersion };
        return (ready, [new TargetEffect.Report(ReadyReport(ready))]);
    }

    /// <summary>The vote counts only for the image that is here, in the epoch that the operation was opened in.</summary>
    private static (TargetState, IReadOnlyList<TargetEffect>) Vote(TargetState state, TargetInput.VoteReceived vote)
    {
        bool repeated = state.Phase is TargetPhase.Committing or TargetPhase.Starting or TargetPhase.Running
            && (vote.OwnershipVersion, vote.Incarnation, vote.Epoch) == (state.VotedVersion, state.Incarnation, state.Command.Epoch);
        if (repeated)
        {
            return (state, []);
        }

        if (state.Phase != TargetPhase.Ready || vote.Incarnation != state.Incarnation || vote.Epoch != state.Command.Epoch)
        {
            return (state, [new TargetEffect.TellSource(false, "The vote is for another image or epoch than the one that is here.")]);
        }

        (TargetState committing, TargetEffect append) = Commit(state with { VotedVersion = vote.OwnershipVersion });
        return (committing, [append]);
    }

    /// <summary>The grant counts like a vote. While an earlier commit is still unanswered it waits: the operation repeats it.</summary>
    private static (TargetState, IReadOnlyList<TargetEffect>) Granted(TargetState state, CommitReplica command)
    {
        if (state.Phase == TargetPhase.Gone)
        {
            return (state, [new TargetEffect.Report(Cleaned(state))]);
        }

        if (state.Phase != TargetPhase.Ready || command.Incarnation != state.Incarnation || command.Epoch != state.Command.Epoch)
        {
            return (state, []);
        }

        (TargetState committing, TargetEffect append) = Commit(state with { VotedVersion = command.OwnershipVersion });
        return (committing, [append]);
    }

    /// <summary>
    /// Before READY a broken migration stream ends the replica. After READY the vote may have been given and lost, and if the source has died this image may be
    /// the only one left: then only the event stream may end it.
    /// </summary>
    private static (TargetState, IReadOnlyList<TargetEffect>) StreamLost(TargetState state, TargetInput.StreamLost lost)
    {
        if (state.Phase == TargetPhase.Receiving)
        {
            return End(state, lost.Reason, report: true);
        }

        return state.Phase == TargetPhase.Ready ? (state with { Unanswered = new TargetEffect.ReadOwnership() }, [new TargetEffect.ReadOwnership()]) : (state, []);
    }

    /// <summary>The image is gone. A commit that is under way may have succeeded: then the event stream names this host, and what follows says so.</summary>
    private static (TargetState, IReadOnlyList<TargetEffect>) GuestLost(TargetState state, Reason reason)
    {
        TargetState without = state with { GuestGone = true, EndReason = reason };
        switch (state.Phase)
        {
            case TargetPhase.Receiving or TargetPhase.Ready:
                return Destroy(without, reason, report: true);
            case TargetPhase.Preparing:
                return End(without, reason, report: true);
            case TargetPhase.Committing:
                TargetEffect.ReadOwnership read = new();
                return (without with { Unanswered = read }, [read]);
            case TargetPhase.Starting:
                return WinnerLost(without);
            default:
                return (state, []);
        }
    }

    /// <summary>Committed, but there is nothing to start: the operation is told, and the agent gives the ownership up.</summary>
    private static (TargetState, IReadOnlyList<TargetEffect>) WinnerLost(TargetState state)
    {
        StartReplica command = state.Command;
        (TargetState destroying, IReadOnlyList<TargetEffect> effects) = Destroy(state, state.EndReason!, report: false);
        return (destroying, [new TargetEffect.Report(new WinnerLost(command.OperationId, command.Replica, command.HostId, state.EndReason!)), .. effects]);
    }

    /// <summary>Ends the replica unless its commit is under way or done: then the append alone decides. An operation that ends a complete image is told that there is one.</summary>
    private static (TargetState, IReadOnlyList<TargetEffect>) Abort(TargetState state, AbortReplica command)
    {
        if (state.Phase == TargetPhase.Gone)
        {
            return (state, [new TargetEffect.Report(Cleaned(state))]);
        }

        if (command.Epoch != state.Command.Epoch)
        {
            return (state, []);
        }

        (TargetState ending, IReadOnlyList<TargetEffect> effects) = End(state, command.Reason, report: false);
        return ending.Phase == TargetPhase.Ready ? (ending, [new TargetEffect.Report(ReadyReport(ending)), .. effects]) : (ending, effects);
    }

    private static (TargetState, IReadOnlyList<TargetEffect>) CommitAnswered(TargetState state, OwnershipAnswer answer)
    {
        if (state.Phase != TargetPhase.Committing)
        {
            return (state, []);
        }

        if (answer.Accepted)
        {
            return Committed(state, answer.View);
        }

        Reason reason = answer.Reason ?? new Reason("refused", "The commit was refused.");
        TargetEffect.TellSource tell = new(false, reason.Detail);
        if (state.Command.Kind == OperationKind.PowerOn || state.GuestGone || IsOver(state, answer.View))
        {
            (TargetState destroying, IReadOnlyList<TargetEffect> effects) = Destroy(state, reason, report: true);
            return (destroying, [tell, .. effects]);
        }

        // Somebody ended the vote. Until the source has said that it goes on, this may be the only image.
        TargetEffect.ReadOwnership read = new();
        return (state with { Phase = TargetPhase.Ready, EndReason = reason, Unanswered = read }, [tell, read]);
    }

    private static (TargetState, IReadOnlyList<TargetEffect>) Committed(TargetState state, OwnershipView decision)
    {
        TargetState starting = state with { Phase = TargetPhase.Starting, Decision = decision, Unanswered = null };
        return state.GuestGone ? WinnerLost(starting) : (starting, [new TargetEffect.StartGuest(decision)]);
    }

    private static (TargetState, IReadOnlyList<TargetEffect>) Observed(TargetState state, OwnershipView view)
    {
        if (view.Version < state.Command.OwnershipVersion)
        {
            // From before the operation was opened, or from an emptied database: no reason to give up an image that may be the only one.
            return (state, []);
        }

        TargetState heard = state.Unanswered is TargetEffect.ReadOwnership ? state with { Unanswered = null } : state;
        bool ours = view.OwnerOperationId == state.Command.OperationId && view.OwnerReplica == state.Command.Replica && view.OwnerHostId == state.Command.HostId;
        if (ours)
        {
            // The commit whose answer was lost is found in the event stream. A shell that still waits for pages was built by a command that came again after its guest had ended.
            return state.Phase is TargetPhase.Ready or TargetPhase.Committing
                ? Committed(heard, view)
                : End(heard, new Reason("built-again", "The replica has committed before, and its guest has ended."), report: false);
        }

        Reason over = state.EndReason ?? new Reason("operation-over", "The ownership event stream names another host, or the operation has ended.");
        if (state.Phase == TargetPhase.Ready || (state.Phase == TargetPhase.Committing && state.GuestGone))
        {
            // Without its guest nothing keeps the replica once its commit can no longer succeed, also while the image, had it lived, would still be valid.
            bool lost = state.GuestGone && view.Version > state.VotedVersion;
            return lost || IsOver(state, view) ? Destroy(heard, over, report: state.EndReason is not null) : (heard, []);
        }

        return IsOpen(state, view) ? (heard, []) : End(heard, over, report: false);
    }

    private static bool IsOpen(TargetState state, OwnershipView view) => view.OpenOperationId == state.Command.OperationId && view.Epoch == state.Command.Epoch;

    /// <summary>True when what is complete here can never run: a machine that was only built when its operation has ended, an image when it is void.</summary>
    private static bool IsOver(TargetState state, OwnershipView view) => state.Command.Kind == OperationKind.PowerOn
        ? !IsOpen(state, view)
        : OwnershipDecider.IsVoid(view, state.Command.Epoch, state.ImageVersion);

    private static (TargetState, IReadOnlyList<TargetEffect>) Started(TargetState state, DateTimeOffset now)
    {
        if (state.Phase != TargetPhase.Starting)
        {
            return (state, []);
        }

        StartReplica command = state.Command;
        return (
            state with { Phase = TargetPhase.Running, Unanswered = null },
            [new TargetEffect.TellSource(true, "The guest runs."), new TargetEffect.Report(new ReplicaResumed(command.OperationId, command.Replica, command.HostId, now)), new TargetEffect.Forget()]);
    }

    private static (TargetState, IReadOnlyList<TargetEffect>) Destroyed(TargetState state) =>
        state.Phase == TargetPhase.Destroying
            ? (state with { Phase = TargetPhase.Gone }, [new TargetEffect.Report(Cleaned(state)), new TargetEffect.Forget()])
            : (state, []);

    /// <summary>Tries again what got no answer, and asks the event stream now and then, so that a lost command cannot leave a shell behind.</summary>
    private static (TargetState, IReadOnlyList<TargetEffect>) Tick(TargetState state)
    {
        if (state.Unanswered is { } unanswered)
        {
            return (state, [unanswered]);
        }

        bool waits = state.Phase is TargetPhase.Receiving or TargetPhase.Ready || state is { Phase: TargetPhase.Committing, GuestGone: true };
        return waits ? (state, [new TargetEffect.ReadOwnership()]) : (state, []);
    }

    /// <summary>Somebody ends the replica. A complete image is asked about first.</summary>
    private static (TargetState, IReadOnlyList<TargetEffect>) End(TargetState state, Reason reason, bool report)
    {
        if (state.Phase == TargetPhase.Ready)
        {
            TargetEffect.ReadOwnership read = new();
            return (state with { EndReason = reason, Unanswered = read }, [read]);
        }

        return state.Phase is TargetPhase.Preparing or TargetPhase.Receiving ? Destroy(state, reason, report) : (state, []);
    }

    private static (TargetState, IReadOnlyList<TargetEffect>) Destroy(TargetState state, Reason reason, bool report)
    {
        // A shell that is still being built is destroyed when it is there: ShellBuilt comes back to it.
        bool building = state is { Phase: TargetPhase.Preparing, Building: true };
        List<TargetEffect> effects = report ? [new TargetEffect.Report(Failed(state, reason))] : [];
        if (!building)
        {
            effects.Add(new TargetEffect.DestroyShell(reason));
        }

        return (state with { Phase = TargetPhase.Destroying, EndReason = reason, Unanswered = null }, effects);
    }

    private static (TargetState, TargetEffect) Commit(TargetState state)
    {
        StartReplica command = state.Command;
        TargetEffect.AppendTransfer append = new(new TransferOwnership(
            command.OperationId, command.Replica, command.HostId, command.Epoch, state.VotedVersion, state.Incarnation, state.Digest));
        return (state with { Phase = TargetPhase.Committing, Unanswered = append }, append);
    }

    private static ReplicaReady ReadyReport(TargetState state) =>
        new(state.Command.OperationId, state.Command.Replica, state.Command.Epoch, state.Command.HostId, state.Incarnation, state.Digest, state.ImageVersion);

    private static ReplicaFailed Failed(TargetState state, Reason reason) =>
        new(state.Command.OperationId, state.Command.Replica, state.Command.Epoch, state.Command.HostId, reason, ReplicaCounters.None);

    private static ReplicaCleaned Cleaned(TargetState state) => new(state.Command.OperationId, state.Command.Replica, state.Command.HostId);
}
