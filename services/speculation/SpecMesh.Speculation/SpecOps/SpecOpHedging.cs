using SpecMesh.Contracts;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>Replicas that start one after the other: by <see cref="HedgedStart"/>, on hosts that are all reserved from the beginning.</summary>
internal static class SpecOpHedging
{
    /// <summary>Which of the reserved hosts begin now and which later. For those that wait a deadline is set each.</summary>
    public static (IReadOnlyList<string> Now, IReadOnlyList<string> Later) Split(SpecOpDraft draft, IReadOnlyList<string> hostIds)
    {
        if (draft.Accepted.Replication is not { Policy: ReplicationRules.Hedged, HedgeDelaySeconds: { } delaySeconds })
        {
            return (hostIds, []);
        }

        for (int replica = 1; replica < hostIds.Count; replica++)
        {
            TimeSpan after = TimeSpan.FromSeconds(HedgedStart.NextAtSeconds(0, replica, delaySeconds));
            draft.Later(after, new HedgeDeadline(draft.OperationId, draft.State.Replicas.Count + replica));
        }

        return ([.. hostIds.Take(1)], [.. hostIds.Skip(1)]);
    }

    /// <summary>A replica's time has come. It may run already, because those before it have ended early; and deadlines may come in another order.</summary>
    public static void Due(SpecOpDraft draft, HedgeDeadline due)
    {
        Reason reason = new("hedge-due", $"No replica has won in the time before replica {due.Replica}.", due.Replica, draft.Accepted.Sq);
        bool hasStarted = true;
        while (hasStarted && draft.State.Replicas.Count <= due.Replica)
        {
            hasStarted = StartNext(draft, reason);
        }
    }

    /// <summary>
    /// Starts the next replica that waits; false when none does. Hosts that have come under suspicion since they were reserved are passed over while another one waits or a replica runs, and
    /// those that are confirmed dead always: their silence is known, and need not be waited for once more.
    /// </summary>
    public static bool StartNext(SpecOpDraft draft, Reason reason)
    {
        if (draft.State is not { Phase: SpecOpPhase.Racing, WaitingHostIds: { Count: > 0 } waiting })
        {
            return false;
        }

        string? next = waiting.FirstOrDefault(host => UnfitnessOf(draft, host) is null);
        if (next is null && !draft.State.Live.Any())
        {
            next = waiting.FirstOrDefault(host => UnfitnessOf(draft, host) is { IsFenced: false });
        }

        if (next is null)
        {
            return false;
        }

        List<string> passedOver = [.. waiting.TakeWhile(host => host != next).Select(host => $"{host} is passed over: {UnfitnessOf(draft, host)?.Reason.Detail}")];
        SpecOpRace.Plan(draft, [next], reason with { Detail = string.Join(' ', [reason.Detail, .. passedOver]) }, [.. waiting.Where(host => host != next)]);
        return true;
    }

    private static UnfitHost? UnfitnessOf(SpecOpDraft draft, string hostId) =>
        draft.State.FencedHosts.Contains(hostId)
            ? new UnfitHost(hostId, new Reason("host-fenced", $"{hostId} is confirmed dead."), IsFenced: true)
            : draft.Facts.UnfitHosts?.FirstOrDefault(unfit => unfit.HostId == hostId);

    /// <summary>The operation has its outcome: what was reserved for replicas that have not started is given back.</summary>
    public static void GiveBackWaiting(SpecOpDraft draft)
    {
        if (draft.State.WaitingHostIds is { Count: > 0 } waiting)
        {
            draft.Publish(new ReleaseTargets(draft.OperationId, waiting));
        }
    }
}
