using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>The end: won, failed or cancelled, and then the clean-up, which is asked for until every loser has said that nothing is left.</summary>
internal static class SpecOpEnding
{
    /// <summary>A replica's commit is durable: the operation is won, whatever else was under way.</summary>
    public static void Won(SpecOpDraft draft, int winner, string hostId, int epoch)
    {
        if (!draft.State.Replicas.ContainsKey(winner))
        {
            return;
        }

        if (draft.State.Phase != SpecOpPhase.Racing)
        {
            SpecOpFencing.Recovered(draft, winner, hostId, epoch);
            return;
        }

        Reason reason = new("committed-first", $"The replica on {hostId} was the first to commit, as epoch {epoch}.");
        draft.Record(new ReplicaCommitted(draft.OperationId, winner, hostId, epoch, reason));
        Reason lost = new("lost-the-race", $"The replica on {hostId} won.");
        foreach (ReplicaState loser in draft.State.Live.ToList())
        {
            draft.Record(new ReplicaAborted(draft.OperationId, loser.Replica, draft.Accepted.Epoch, loser.HostId, lost, loser.Counters));
        }

        Complete(draft, OperationOutcome.Succeeded, winner, hostId, "commit", reason);
    }

    /// <summary>
    /// Acts on a commit that the machine's event stream shows already: no decision waits for the message that tells of it. False when no replica has committed.
    /// </summary>
    public static bool ActOnCommit(SpecOpDraft draft)
    {
        OwnershipView vm = draft.Facts.Ownership;
        if (!OwnershipDecider.IsWon(vm, draft.OperationId) || vm is not { OwnerReplica: { } winner, OwnerHostId: { } hostId })
        {
            return false;
        }

        Won(draft, winner, hostId, vm.Epoch);
        return true;
    }

    /// <summary>The caller wants no more of it. One append to the machine's event stream ends every vote and the operation at once.</summary>
    public static void Cancel(SpecOpDraft draft, CancelSpecOp cancel)
    {
        if (draft.State.Phase != SpecOpPhase.Racing || draft.State.IsCancelRequested)
        {
            return;
        }

        draft.Record(new CancelRequested(draft.OperationId, cancel.RequestedBy));
        if (ActOnCommit(draft))
        {
            return;
        }

        Reason reason = new("cancelled", "The caller ended the operation.");
        foreach (ReplicaState replica in draft.State.Live.ToList())
        {
            draft.Record(new ReplicaCancelled(draft.OperationId, replica.Replica, draft.Accepted.Epoch, replica.HostId, reason, replica.Counters));
        }

        Complete(draft, OperationOutcome.Cancelled, null, null, "cancel", reason);
    }

    /// <summary>The operation as a whole has had its time: this also covers agents that have gone silent.</summary>
    public static void OutOfTime(SpecOpDraft draft) =>
        Fail(draft, "deadline", new Reason("operation-deadline", "The operation did not end before its deadline.", null, null));

    /// <summary>No replica can win any more, or none may.</summary>
    public static void Fail(SpecOpDraft draft, string by, Reason reason)
    {
        if (draft.State.Phase != SpecOpPhase.Racing || ActOnCommit(draft))
        {
            return;
        }

        foreach (ReplicaState replica in draft.State.Live.ToList())
        {
            draft.Record(new ReplicaAborted(draft.OperationId, replica.Replica, draft.Accepted.Epoch, replica.HostId, reason, replica.Counters));
        }

        Complete(draft, OperationOutcome.Failed, null, null, by, reason);
    }

    public static void Resumed(SpecOpDraft draft, ReplicaResumed resumed)
    {
        // The winner may run, and say so, before the news of its commit has come here: then the commit itself is acted on first.
        ActOnCommit(draft);
        if (draft.State.MachineReplica == resumed.Replica && draft.State.Phase == SpecOpPhase.Completed && !draft.State.Resumed)
        {
            draft.Record(resumed);
            SettleIfNothingIsLeft(draft);
        }
    }

    /// <summary>The winner's guest ended before it ran. The operation is won all the same; what becomes of the machine is no longer its business.</summary>
    public static void Lost(SpecOpDraft draft, WinnerLost lost)
    {
        ActOnCommit(draft);
        if (draft.State.MachineReplica == lost.Replica && draft.State.Phase == SpecOpPhase.Completed && !draft.State.Resumed && !draft.State.IsWinnerLost)
        {
            draft.Record(lost);
            SettleIfNothingIsLeft(draft);
        }
    }

    public static void Cleaned(SpecOpDraft draft, ReplicaCleaned cleaned)
    {
        if (!draft.State.Replicas.TryGetValue(cleaned.Replica, out ReplicaState? replica) || replica.Cleaned || replica.HostId != cleaned.HostId)
        {
            return;
        }

        bool races = draft.State.Phase == SpecOpPhase.Racing;
        ActOnCommit(draft);
        if (draft.State.MachineReplica == cleaned.Replica)
        {
            // The winner's host forgets the replica once it runs, and a late command may make it say that nothing of it is left. Its memory is the machine's now.
            return;
        }

        if (replica.IsLive)
        {
            Reason gone = new("shell-gone", $"{replica.HostId} holds nothing for the replica any more.");
            SpecOpRace.Ended(draft, cleaned.Replica, draft.Accepted.Epoch, new ReplicaFailed(draft.OperationId, cleaned.Replica, draft.Accepted.Epoch, replica.HostId, gone, replica.Counters));
        }

        draft.Record(cleaned);
        if (races && NeedsNoMore(draft.State, replica.HostId))
        {
            // Once the operation has its outcome, placement acts on the report itself, and on the settlement.
            draft.Publish(new ReleaseTargets(draft.OperationId, [replica.HostId]));
        }

        SettleIfNothingIsLeft(draft);
    }

    /// <summary>True when the operation has nothing on the host and will not come back to it: an operation holds one reservation per host, however many replicas it had there.</summary>
    private static bool NeedsNoMore(SpecOpState state, string hostId)
    {
        bool comesBack = state.Phase == SpecOpPhase.Racing && state.Accepted?.Manager == Managers.RetrySameServer.Name;
        return !comesBack && state.Replicas.Values.All(replica => replica.Cleaned || replica.HostId != hostId);
    }

    public static void Released(SpecOpDraft draft, SourceReleased released)
    {
        // The source may see the commit, and let go, before the news of it has come here. What it measured is told only once.
        ActOnCommit(draft);
        if (draft.State.Completed is null || draft.State.Source is not null)
        {
            return;
        }

        draft.Record(released);
        SettleIfNothingIsLeft(draft);
    }

    /// <summary>Asks again for everything that is still owed.</summary>
    public static void CleanUp(SpecOpDraft draft, CleanupDeadline due)
    {
        if (draft.State.Phase != SpecOpPhase.Completed)
        {
            return;
        }

        GiveUpTheWinner(draft);
        if (draft.State.Phase == SpecOpPhase.Completed)
        {
            AskForEverything(draft, due.Attempt);
            AskForWinner(draft);
        }
    }

    /// <summary>The winner tells once that it runs, and that word may be lost with a queue.</summary>
    private static void AskForWinner(SpecOpDraft draft)
    {
        if (draft.State is { MachineReplica: { } winner, Resumed: false, IsWinnerLost: false } state)
        {
            draft.Tell(state.Replicas[winner].HostId, new ConfirmReplica(draft.OperationId, winner, draft.Accepted.VmId, state.Replicas[winner].HostId));
        }
    }

    /// <summary>
    /// The winner's guest may have ended while no agent ran on its host, or the word that it runs was lost, and nobody is left to say so. Once the machine is no longer the
    /// winner's, there is nothing to wait for.
    /// </summary>
    private static void GiveUpTheWinner(SpecOpDraft draft)
    {
        if (draft.State is { MachineReplica: { } winner, Resumed: false, IsWinnerLost: false } state && !OwnershipDecider.IsWon(draft.Facts.Ownership, draft.OperationId))
        {
            Reason reason = new("machine-gone-on", $"The machine was given up, or has gone on to another host, in epoch {draft.Facts.Ownership.Epoch}.");
            draft.Record(new WinnerLost(draft.OperationId, winner, state.Replicas[winner].HostId, reason));
            SettleIfNothingIsLeft(draft);
        }
    }

    /// <summary>Tells the replica's host to drop its shell.</summary>
    public static void AskForCleanup(SpecOpDraft draft, ReplicaState replica)
    {
        if (!replica.Cleaned && replica.Outcome is { } outcome && replica.Replica != draft.State.MachineReplica)
        {
            SpecOpAccepted op = draft.Accepted;
            AbortReplica abort = new(op.OperationId, replica.Replica, op.Epoch, op.VmId, replica.HostId, outcome, replica.Reason!);
            draft.Tell(replica.HostId, abort);
            if (op.SourceHostId is { } source && draft.State.Phase == SpecOpPhase.Racing)
            {
                draft.Tell(source, abort with { HostId = source });
            }
        }
    }

    private static void Complete(SpecOpDraft draft, OperationOutcome outcome, int? winner, string? winnerHost, string by, Reason reason)
    {
        SpecOpAccepted op = draft.Accepted;
        SpecOpCompleted completed = new(op.OperationId, op.VmId, outcome, winner, winnerHost, op.SourceHostId, reason);
        draft.RecordOwnership(OwnershipDecider.Close(draft.Facts.Ownership, op.OperationId, outcome, by, reason));
        draft.Record(completed);
        draft.Publish(completed);
        GiveBackWhatWasKept(draft);
        SpecOpHedging.GiveBackWaiting(draft);
        AskForEverything(draft, attempt: 0);
        SettleIfNothingIsLeft(draft);
    }

    /// <summary>A manager that comes back to the same host has kept its reservation between two attempts.</summary>
    private static void GiveBackWhatWasKept(SpecOpDraft draft)
    {
        if (draft.Accepted.Manager == Managers.RetrySameServer.Name)
        {
            List<string> kept = [.. draft.State.Replicas.Values.Select(replica => replica.HostId).Distinct(StringComparer.Ordinal).Where(host => NeedsNoMore(draft.State, host))];
            if (kept.Count > 0)
            {
                draft.Publish(new ReleaseTargets(draft.OperationId, kept));
            }
        }
    }

    private static void AskForEverything(SpecOpDraft draft, int attempt)
    {
        if (draft.State.NothingLeft)
        {
            return;
        }

        foreach (ReplicaState replica in draft.State.Replicas.Values)
        {
            AskForCleanup(draft, replica);
        }

        SpecOpAccepted op = draft.Accepted;
        if (op.SourceHostId is { } source && draft.State.Source is null && !draft.State.FencedHosts.Contains(source))
        {
            draft.Tell(source, new ReleaseSource(op.OperationId, op.Epoch, op.VmId, source));
        }

        TimeSpan pause = SpecOpDecider.FirstCleanupPause * Math.Pow(2, Math.Min(attempt, 10));
        draft.Later(pause < SpecOpDecider.LongestCleanupPause ? pause : SpecOpDecider.LongestCleanupPause, new CleanupDeadline(op.OperationId, attempt + 1));
    }

    public static void SettleIfNothingIsLeft(SpecOpDraft draft)
    {
        if (draft.State is { Phase: SpecOpPhase.Completed, NothingLeft: true })
        {
            SpecOpSettled settled = new(draft.OperationId, draft.State.Replicas.Values.Sum(replica => replica.Counters.BytesSent), draft.State.Source?.DowntimeMs);
            draft.Record(settled);
            draft.Publish(settled);
        }
    }
}
