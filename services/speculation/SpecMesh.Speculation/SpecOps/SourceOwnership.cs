using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>How the source obeys the ownership event stream.</summary>
internal static class SourceOwnership
{
    /// <summary>The target says that it runs. The pause has ended; the event stream is asked for the proof.</summary>
    public static void Hint(SourceStep step, SourceInput.ResumedHint hint)
    {
        if (step.State.VoteIsOut && step.State.Candidate == hint.Replica)
        {
            StopTheClock(step);
            Read(step);
        }
    }

    /// <summary>The operation is over: what is suspended asks the event stream what it is to become.</summary>
    public static void Release(SourceStep step)
    {
        if (step.State.Phase == SourcePhase.Released)
        {
            Tell(step);
            return;
        }

        step.State = step.State with { ReleaseAsked = true };
        if (step.State.Phase != SourcePhase.Destroying)
        {
            Read(step);
        }
    }

    /// <summary>Obeys what the event stream says.</summary>
    public static void Observed(SourceStep step, OwnershipView view)
    {
        if (step.State.Phase is SourcePhase.Destroying or SourcePhase.Released)
        {
            return;
        }

        if (view.Version < step.State.OwnershipVersion)
        {
            // Older than what this source has acted on: a delayed answer, or an emptied database. It tells nothing about now.
            return;
        }

        bool isOld = step.State.AnswerIsOld;
        step.State = step.State with { AnswerIsOld = false, Unanswered = step.State.Unanswered is SourceEffect.ReadOwnership && !isOld ? null : step.State.Unanswered };
        if (WasTransferred(step.State, view))
        {
            GiveUpTheCopy(step, view);
            return;
        }

        if (view.OpenOperationId == step.State.OperationId)
        {
            if (!isOld)
            {
                StillOpen(step, view);
            }

            return;
        }

        // The operation is closed without a transfer: no vote can win any more. A target may still keep an image, so a guest that stands still goes on only after a refusal of its own.
        step.State = step.State with { ReleaseAsked = true };
        if (step.State.VoteIsOut)
        {
            step.Refuse(new Reason("operation-over", "The operation has ended without a commit."));
        }
        else
        {
            EndAll(step);
            step.ResumeIfCandidateIsGone();
            LetGoIfAsked(step);
        }
    }

    /// <summary>
    /// The append of the refusal is answered: either no vote can win any more, or one has. While the machine is being recovered from a target, because this host was taken for dead,
    /// neither is true yet: it is asked again at the next tick.
    /// </summary>
    public static void Answered(SourceStep step, OwnershipAnswer answer)
    {
        if (step.State.Phase != SourcePhase.Refusing)
        {
            return;
        }

        if (answer.View.Version <= step.State.OwnershipVersion)
        {
            // The answer to an earlier vote's refusal, asked for twice and answered late: the vote that is out now may still win.
            return;
        }

        if (WasTransferred(step.State, answer.View))
        {
            GiveUpTheCopy(step, answer.View);
        }
        else if (answer.Accepted)
        {
            VoteIsVoid(step, answer.View);
        }
        else if (answer.View.Recovery is null)
        {
            throw new InvalidOperationException(
                $"The refusal at version {step.State.OwnershipVersion} of vm-{step.State.VmId} was neither accepted nor overtaken: {answer.Reason?.Detail}");
        }
    }

    /// <summary>The copy is gone.</summary>
    public static void Destroyed(SourceStep step)
    {
        if (step.State.Phase == SourcePhase.Destroying)
        {
            step.State = step.State with { Phase = SourcePhase.Released, Destroyed = true };
            Tell(step);
        }
    }

    /// <summary>Once the operation is over and the guest runs on here, nothing keeps the source.</summary>
    public static void LetGoIfAsked(SourceStep step)
    {
        if (step.State is not { ReleaseAsked: true, Phase: SourcePhase.Copying })
        {
            return;
        }

        if (step.State.Live.Any())
        {
            Read(step);
            return;
        }

        step.State = step.State with { Phase = SourcePhase.Released, Destroyed = false };
        Tell(step);
    }

    /// <summary>
    /// The copy here is nobody's machine, or another host's, now. Once last pages were sent a later epoch says so even when it names this host: then the machine has left and
    /// returned, and runs here as another guest than the one that stands still.
    /// </summary>
    private static bool WasTransferred(SourceState state, OwnershipView view) =>
        view.Epoch > state.Epoch && (view.OwnerHostId != state.HostId || state.ImageMayBeOut);

    private static void StillOpen(SourceStep step, OwnershipView view)
    {
        switch (step.State.Phase)
        {
            case SourcePhase.Voted when view.Version > step.State.OwnershipVersion:
                step.Refuse(new Reason("vote-overtaken", "The event stream has moved past the vote.", view.Version, step.State.OwnershipVersion));
                break;
            case SourcePhase.Copying or SourcePhase.Suspending or SourcePhase.Finishing or SourcePhase.Resuming:
                // No vote is out, so the next one is given at the latest version: at an older one it could not win.
                step.State = step.State with { Confirmed = step.State.Confirmed || step.State.Live.Any(replica => replica.Connected), OwnershipVersion = view.Version };
                step.ContinueAllThatWait();
                break;
        }
    }

    private static void GiveUpTheCopy(SourceStep step, OwnershipView view)
    {
        StopTheClock(step);
        foreach (SourceReplica replica in step.State.Live.ToList())
        {
            Reason lost = new("lost-the-race", view.OwnerHostId is { } owner ? $"The replica on {owner} won." : "The machine has no owner any more.");
            if (view.OwnerOperationId == step.State.OperationId)
            {
                // The operation reads who has won, and so who has lost, on the same event stream: it is not told. What was measured goes with the source's last word.
                step.Close(replica.Replica, view.OwnerReplica == replica.Replica ? new Reason("won", "The transfer is complete.") : lost);
            }
            else
            {
                step.End(replica.Replica, new ReplicaAborted(step.State.OperationId, replica.Replica, step.State.Epoch, replica.Command.TargetHostId, lost, replica.Counters));
            }
        }

        step.State = step.State with { Phase = SourcePhase.Destroying, Unanswered = null };
        step.Do(new SourceEffect.DestroyGuest());
    }

    private static void VoteIsVoid(SourceStep step, OwnershipView view)
    {
        step.State = step.State with { OwnershipVersion = view.Version, Unanswered = null };
        if (step.State.Candidate is { } candidate && step.Find(candidate) is not null)
        {
            Reason reason = new("transfer-refused", "The source took its vote back before the replica committed.");
            step.End(candidate, new ReplicaFailed(step.State.OperationId, candidate, step.State.Epoch, step.HostOf(candidate), reason, step.CountersOf(candidate)));
        }

        if (step.State.ReleaseAsked)
        {
            EndAll(step);
        }

        step.Resume();
    }

    private static void EndAll(SourceStep step)
    {
        foreach (SourceReplica replica in step.State.Live.ToList())
        {
            Reason over = new("operation-over", "The operation has ended.");
            step.End(replica.Replica, new ReplicaAborted(step.State.OperationId, replica.Replica, step.State.Epoch, replica.Command.TargetHostId, over, replica.Counters));
        }
    }

    /// <summary>Asks the event stream, and again at every tick until it answers.</summary>
    public static void Read(SourceStep step)
    {
        SourceEffect.ReadOwnership read = new();
        if (step.State.Unanswered is null)
        {
            step.State = step.State with { Unanswered = read };
        }

        step.Do(read);
    }

    private static void StopTheClock(SourceStep step)
    {
        if (step.State.SuspendedAt is { } since)
        {
            step.State = step.State with { DowntimeMs = step.State.DowntimeMs + (step.Now - since).TotalMilliseconds, SuspendedAt = null };
        }
    }

    private static void Tell(SourceStep step)
    {
        SourceState state = step.State;
        List<SourceReplica> replicas = [.. state.Replicas.Values];
        step.Do(new SourceEffect.Report(new SourceReleased(
            state.OperationId,
            state.HostId,
            state.Destroyed == true,
            Math.Round(state.DowntimeMs, 3),
            [.. replicas.Select(replica => replica.Replica)],
            [.. replicas.Select(replica => replica.Counters)])));
        step.Do(new SourceEffect.Forget());
    }
}
