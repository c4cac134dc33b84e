using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>The race: replicas are placed, start, report and end.</summary>
internal static class SpecOpRace
{
    /// <summary>The request for hosts that the n-th placement of an operation makes.</summary>
    public static SelectTargets TargetsWanted(SpecOpAccepted accepted, int request, int count, IReadOnlyList<string> allowed, IEnumerable<string> tried)
    {
        List<string> excluded = accepted.SourceHostId is null ? [.. tried] : [accepted.SourceHostId, .. tried];
        return new SelectTargets(accepted.OperationId, request, count, allowed, excluded, accepted.Vm.MemoryBytes, accepted.TargetChoice, AcceptFewer: true, accepted.DeadlineAt, accepted.Replication);
    }

    public static void Reserved(SpecOpDraft draft, TargetsReserved reserved)
    {
        if (reserved.Request < draft.State.AnsweredRequests)
        {
            return;
        }

        if (draft.State.Phase != SpecOpPhase.Racing)
        {
            draft.Publish(new ReleaseTargets(draft.OperationId, reserved.HostIds));
            return;
        }

        (IReadOnlyList<string> now, IReadOnlyList<string> later) = SpecOpHedging.Split(draft, reserved.HostIds);
        Plan(draft, now, reserved.Reason, later, reserved.Verdicts);
    }

    /// <summary>Numbers the replicas and tells their hosts to begin.</summary>
    public static void Plan(SpecOpDraft draft, IReadOnlyList<string> hostIds, Reason reason, IReadOnlyList<string> waiting, IReadOnlyList<Reason>? verdicts = null)
    {
        int first = draft.State.Replicas.Count;
        List<PlannedReplica> planned = [.. hostIds.Select((host, i) => new PlannedReplica(first + i, host))];
        draft.Record(new ReplicasPlanned(draft.OperationId, planned, reason, waiting.Count > 0 ? waiting : null, verdicts));
        SpecOpAccepted op = draft.Accepted;
        foreach (PlannedReplica replica in planned.Where(replica => !draft.State.FencedHosts.Contains(replica.HostId)))
        {
            draft.Tell(replica.HostId, new StartReplica(
                op.OperationId, replica.Replica, op.Epoch, op.Kind, op.VmId, replica.HostId, op.SourceHostId, op.Vm, op.OwnershipVersion, op.Cost));
            draft.Later(StartLimitOf(op), new ReplicaDeadline(op.OperationId, replica.Replica));
        }

        // Its hosts were chosen before one of them was confirmed dead, and the news of that came first.
        foreach (PlannedReplica replica in planned.Where(replica => draft.State.FencedHosts.Contains(replica.HostId)))
        {
            Reason dead = new("host-fenced", $"{replica.HostId} is confirmed dead.");
            Ended(draft, replica.Replica, op.Epoch, new ReplicaFailed(op.OperationId, replica.Replica, op.Epoch, replica.HostId, dead, ReplicaCounters.None));
        }
    }

    public static void NoTargets(SpecOpDraft draft, TargetsRefused refused)
    {
        if (draft.State.Phase != SpecOpPhase.Racing || refused.Request < draft.State.AnsweredRequests)
        {
            return;
        }

        draft.Record(refused);
        if (!draft.State.Live.Any())
        {
            SpecOpEnding.Fail(draft, "failure", refused.Reason);
        }
    }

    public static void Started(SpecOpDraft draft, ReplicaStarted started)
    {
        if (!draft.State.Replicas.TryGetValue(started.Replica, out ReplicaState? replica) || started.Epoch != draft.Accepted.Epoch)
        {
            return;
        }

        if (!replica.IsLive)
        {
            SpecOpEnding.AskForCleanup(draft, replica);
            return;
        }

        if (replica.Phase != ReplicaPhase.Planned)
        {
            return;
        }

        draft.Record(started);
        SpecOpAccepted op = draft.Accepted;
        if (op.SourceHostId is { } source && started.DataEndpoint is { } endpoint)
        {
            draft.Tell(source, new ConnectReplica(
                op.OperationId, started.Replica, op.Epoch, op.VmId, source, replica.HostId, endpoint, op.OwnershipVersion, op.Cost, op.Vm.MemoryBytes));
        }
    }

    public static void Rounds(SpecOpDraft draft, ReplicaRoundsReported report)
    {
        if (report.Epoch != draft.Accepted.Epoch)
        {
            return;
        }

        foreach (ReplicaRoundCompleted round in report.Rounds)
        {
            if (draft.State.Replicas.TryGetValue(round.Replica, out ReplicaState? replica) && round.Round > replica.LastRound && draft.State.Phase != SpecOpPhase.Settled)
            {
                draft.Record(round);
            }
        }
    }

    /// <summary>Recorded also after the replica's end: while its shell is there, its image may be the one that the machine is recovered from.</summary>
    public static void Ready(SpecOpDraft draft, ReplicaReady ready)
    {
        if (draft.State.Phase is SpecOpPhase.Racing or SpecOpPhase.Completed && draft.State.MachineReplica is null && draft.State.Replicas.TryGetValue(ready.Replica, out ReplicaState? replica) && !replica.Cleaned && ready.Epoch == draft.Accepted.Epoch
            && (replica.ReadyIncarnation is not { } before || ready.Incarnation > before || ready.OwnershipVersion > replica.ReadyVersion))
        {
            draft.Record(ready);
        }
    }

    /// <summary>A replica ended without winning. When it was the last one, the manager says how to go on.</summary>
    public static void Ended(SpecOpDraft draft, int number, int epoch, object ended)
    {
        if (!draft.State.Replicas.TryGetValue(number, out ReplicaState? replica) || !replica.IsLive || epoch != draft.Accepted.Epoch)
        {
            return;
        }

        // After a commit the race is over: who ends now has lost it, and a healthy host whose commit came second has not failed.
        if (SpecOpEnding.ActOnCommit(draft))
        {
            return;
        }

        draft.Record(ended);
        if (!draft.State.Live.Any())
        {
            React(draft, draft.State.Replicas[number]);
        }

        // The end of the operation asks everybody; before it, only this replica is to go.
        if (draft.State.Phase == SpecOpPhase.Racing)
        {
            SpecOpEnding.AskForCleanup(draft, draft.State.Replicas[number]);
        }
    }

    /// <summary>The target had its time to start (or, for a power-on, to be built).</summary>
    public static void ReplicaDue(SpecOpDraft draft, ReplicaDeadline due)
    {
        if (!draft.State.Replicas.TryGetValue(due.Replica, out ReplicaState? replica) || !replica.IsLive)
        {
            return;
        }

        SpecOpAccepted op = draft.Accepted;
        if (replica.Phase == ReplicaPhase.Planned)
        {
            Reason silent = new("not-started", $"{replica.HostId} did not prepare the replica in time.", null, StartLimitOf(op).TotalSeconds);
            Ended(draft, due.Replica, op.Epoch, new ReplicaFailed(op.OperationId, due.Replica, op.Epoch, replica.HostId, silent, replica.Counters));
        }
        else if (op.Kind == OperationKind.PowerOn && (draft.State.Live.Count() > 1 || op.Cost.AbortLast == true))
        {
            (double seconds, string code) = CostRules.BuildLimit(op.Cost, op.Vm.MemoryBytes);
            Reason slow = new(code, "The replica took longer to be built than the workload allows.", null, seconds);
            Ended(draft, due.Replica, op.Epoch, new ReplicaAborted(op.OperationId, due.Replica, op.Epoch, replica.HostId, slow, replica.Counters));
        }
    }

    /// <summary>
    /// The back-off is over: the same server again, on the reservation that the operation has held there since its first attempt. Placement is not asked, because
    /// a manager that retries blindly must not do better than it would by itself.
    /// </summary>
    public static void Retry(SpecOpDraft draft, RetryDeadline due)
    {
        bool retried = draft.State.Replicas.Count != due.Replica + 1;
        if (draft.State.Phase != SpecOpPhase.Racing || retried || draft.State.Live.Any())
        {
            return;
        }

        string host = draft.State.Replicas[due.Replica].HostId;
        Plan(draft, [host], new Reason("same-server-again", $"Attempt {due.Replica + 2} on {host}, after a pause.", due.Replica + 2, Managers.NaiveAttempts), waiting: []);
    }

    // Who gives a replica ten minutes to move a machine does not mind that a slow host takes one of them to prepare.
    private static TimeSpan StartLimitOf(SpecOpAccepted op) => op.Kind == OperationKind.PowerOn
        ? TimeSpan.FromSeconds(CostRules.BuildLimit(op.Cost, op.Vm.MemoryBytes).Seconds)
        : TimeSpan.FromSeconds(Math.Max(SpecOpDecider.StartLimit.TotalSeconds, (op.Cost.TimeoutSeconds ?? 0) / 10));

    private static void React(SpecOpDraft draft, ReplicaState last)
    {
        if (SpecOpHedging.StartNext(draft, new Reason("hedge-early", $"No replica is left; the last one ended on {last.HostId}: {last.Reason?.Detail}")))
        {
            return;
        }

        SpecOpAccepted op = draft.Accepted;
        switch (Managers.ByName[op.Manager].React(draft.State, last))
        {
            case Reaction.RetrySameServer retry:
                draft.Later(retry.After, new RetryDeadline(op.OperationId, retry.FailedReplica));
                break;
            case Reaction.Repick:
                draft.Publish(TargetsWanted(op, draft.State.AnsweredRequests, 1, op.Targets, draft.State.Replicas.Values.Select(replica => replica.HostId)));
                break;
            case Reaction.GiveUp giveUp:
                SpecOpEnding.Fail(draft, "failure", giveUp.Reason);
                break;
        }
    }
}
