using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>The beginning of an operation: accepted with the machine locked for it, or refused with the field named.</summary>
internal static class SpecOpOpening
{
    public static SpecOpDecision Submit(SpecOpState state, SubmitSpecOp request, SpecOpFacts facts, DateTimeOffset now)
    {
        if (state.Accepted is { } accepted)
        {
            return Repeated(accepted, request);
        }

        if (SpecOpRules.FirstError(request, TargetChoice.Names) is { } error)
        {
            return Refuse(request, error.Field, error.Reason);
        }

        if (state.IsCancelRequested)
        {
            return Refuse(request, "operationId", new Reason("cancelled", "The operation was cancelled before its request came."));
        }

        if (SpecOpRules.FirstConflict(request, facts) is { } conflict)
        {
            return Refuse(request, conflict.Field, conflict.Reason);
        }

        return Accept(request, facts, now);
    }

    private static SpecOpDecision Accept(SubmitSpecOp request, SpecOpFacts facts, DateTimeOffset now)
    {
        OwnershipView ownership = facts.Ownership;
        VmDefinition vm = ownership.Vm ?? request.Vm ?? throw new InvalidOperationException("The rules let a request without a machine through.");
        Manager manager = Managers.ByName[request.Manager ?? Managers.Speculative.Name];
        int sq = SpecOpRules.SqOf(request);
        CostLimits cost = CostRules.WithDefaults(request.Cost, request.Kind, vm.MemoryBytes);
        ReplicationWish? replication = ReplicationRules.WithDefaults(request.Replication, sq, request.Kind, vm.MemoryBytes);
        TimeSpan lastStart = TimeSpan.FromSeconds(HedgedStart.NextAtSeconds(0, sq - 1, replication?.HedgeDelaySeconds ?? 0));
        DateTimeOffset deadline = now + lastStart + (TimeSpan.FromSeconds(cost.TimeoutSeconds!.Value) * manager.Attempts) + SpecOpDecider.OperationReserve;
        IReadOnlyList<object> opened = OwnershipDecider.Open(ownership, request.OperationId, request.Kind, vm);
        SpecOpAccepted accepted = new(
            request.OperationId,
            request.Kind,
            request.VmId,
            sq,
            request.Targets ?? [],
            cost,
            request.TargetChoice ?? TargetChoice.FailureDomainsApart,
            manager.Name,
            vm,
            ownership.OwnerHostId,
            ownership.Epoch,
            ownership.Version + opened.Count,
            deadline,
            SpecOpRules.Fingerprint(request),
            request.RequestedBy,
            replication);
        return new SpecOpDecision(
            [accepted],
            opened,
            [
                new Effect(accepted),
                new Effect(SpecOpRace.TargetsWanted(accepted, request: 0, sq, accepted.Targets, tried: [])),
                new Effect(new SpecOpDeadline(request.OperationId), null, deadline),
            ]);
    }

    /// <summary>
    /// The same wishes again are the same operation; other wishes under the same id are refused, and the operation goes on. A request that was refused has not used its id up:
    /// what stood in its way may have gone.
    /// </summary>
    private static SpecOpDecision Repeated(SpecOpAccepted accepted, SubmitSpecOp request)
    {
        // A request that is wrong by itself is no repetition of one that was accepted, and has no fingerprint.
        bool wellFormed = SpecOpRules.FirstError(request, TargetChoice.Names) is null;
        if (wellFormed && accepted.Fingerprint == SpecOpRules.Fingerprint(request))
        {
            return SpecOpDecision.Nothing;
        }

        Reason reason = new("operation-id-reused", "This operation id (or idempotency key) was used for another request.");
        SpecOpRefused refused = new(request.OperationId, request.VmId ?? "", "operationId", reason);
        return new SpecOpDecision([], [], [new Effect(refused)], refused);
    }

    private static SpecOpDecision Refuse(SubmitSpecOp request, string field, Reason reason)
    {
        SpecOpRefused refused = new(request.OperationId, request.VmId ?? "", field, reason);
        return new SpecOpDecision([refused], [], [new Effect(refused)]);
    }
}
