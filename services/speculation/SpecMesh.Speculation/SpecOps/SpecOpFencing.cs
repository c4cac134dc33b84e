using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>What an operation does about a host that is confirmed dead: nothing is waited for there any more.</summary>
internal static class SpecOpFencing
{
    /// <summary>
    /// Gives up what is on the host. Without its source the operation has failed; what becomes of the machine is decided on the machine's event stream afterwards
    /// (<see cref="Fencing"/>), once every target has said whether it holds a complete image.
    /// </summary>
    public static void HostFenced(SpecOpDraft draft, FenceOperation fence)
    {
        SpecOpState state = draft.State;
        bool concerned = draft.Accepted.SourceHostId == fence.HostId || state.Replicas.Values.Any(replica => replica.HostId == fence.HostId);
        if (!concerned || state.Phase == SpecOpPhase.Settled || state.FencedHosts.Contains(fence.HostId))
        {
            return;
        }

        Reason dead = new("host-fenced", $"{fence.HostId} is confirmed dead by {fence.By}.");
        SpecOpEnding.ActOnCommit(draft);
        draft.Record(new OperationHostFenced(draft.OperationId, fence.HostId, dead));
        foreach (ReplicaState replica in draft.State.Live.Where(replica => replica.HostId == fence.HostId).ToList())
        {
            SpecOpRace.Ended(
                draft, replica.Replica, draft.Accepted.Epoch, new ReplicaFailed(draft.OperationId, replica.Replica, draft.Accepted.Epoch, replica.HostId, dead, replica.Counters));
        }

        if (draft.Accepted.SourceHostId == fence.HostId)
        {
            SpecOpEnding.Fail(draft, "failure", new Reason("source-fenced", $"The source {fence.HostId} is confirmed dead by {fence.By}."));
        }

        SpecOpEnding.SettleIfNothingIsLeft(draft);
    }

    /// <summary>A commit after the end: the machine of a dead source runs from the image that the operation had left. Its outcome stays what it was.</summary>
    public static void Recovered(SpecOpDraft draft, int number, string hostId, int epoch)
    {
        if (draft.State is not { Phase: SpecOpPhase.Completed, MachineReplica: null })
        {
            return;
        }

        Reason reason = new("recovered", $"The source is confirmed dead, and {hostId} held the complete image of the machine.");
        draft.RecordOwnership(OwnershipDecider.Close(draft.Facts.Ownership, draft.OperationId, OperationOutcome.Succeeded, "recovery", reason));
        draft.Record(new MachineRecovered(draft.OperationId, number, hostId, epoch, reason));
        SpecOpEnding.SettleIfNothingIsLeft(draft);
    }
}
