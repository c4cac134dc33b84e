using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hosting;
using SpecMesh.Speculation;
using SpecMesh.Speculation.Health;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.ReplicationPolicy;

/// <summary>
/// The shell around <see cref="SpecOpDecider"/>: load the operation and its machine, decide, append to both at the versions they were loaded at, and send what follows.
/// </summary>
public static class SpecOpSaga
{
    private static readonly SagaDefinition<SpecOpState> Definition = new(
        ReplicationPolicyService.Name, EventStreams.OperationPrefix, EventStreams.OperationType, id => new SpecOpState(id), SpecOpState.Evolve);

    /// <summary>Everything that an operation listens to.</summary>
    public static MeshBuilder AddSpecOpSaga(this MeshBuilder mesh) => mesh.Saga(Definition, saga => saga
        .On<SubmitSpecOp>(message => message.OperationId, HandleAsync)
        .On<CancelSpecOp>(message => message.OperationId, HandleAsync)
        .On<TargetsReserved>(message => message.OperationId, HandleAsync)
        .On<TargetsRefused>(message => message.OperationId, HandleAsync)
        .On<ReplicaStarted>(message => message.OperationId, HandleAsync)
        .On<ReplicaRoundsReported>(message => message.OperationId, HandleAsync)
        .On<ReplicaReady>(message => message.OperationId, HandleAsync)
        .On<ReplicaAborted>(message => message.OperationId, HandleAsync)
        .On<ReplicaFailed>(message => message.OperationId, HandleAsync)
        .On<ReplicaCancelled>(message => message.OperationId, HandleAsync)
        .On<ReplicaResumed>(message => message.OperationId, HandleAsync)
        .On<ReplicaCleaned>(message => message.OperationId, HandleAsync)
        .On<SourceReleased>(message => message.OperationId, HandleAsync)
        .On<WinnerLost>(message => message.OperationId, HandleAsync)
        .On<FenceOperation>(message => message.OperationId, HandleAsync)
        .On<OwnershipTransferred>(message => message.OperationId, HandleAsync)
        .On<SpecOpDeadline>(message => message.OperationId, HandleAsync)
        .On<ReplicaDeadline>(message => message.OperationId, HandleAsync)
        .On<HedgeDeadline>(message => message.OperationId, HandleAsync)
        .On<RetryDeadline>(message => message.OperationId, HandleAsync)
        .On<CleanupDeadline>(message => message.OperationId, HandleAsync));

    private static async Task HandleAsync<T>(SpecOpState state, T message, HandlerContext context, CancellationToken cancellationToken)
        where T : class
    {
        SpecOpFacts facts = await FactsAsync(state, message, context.Work, cancellationToken);
        SpecOpDecision decision = SpecOpDecider.Decide(state, message, facts, context.Now);
        context.Work.Append(EventStreams.OfOperation(state.OperationId), EventStreams.OperationType, decision.Events, () => DecidedFrom.Of(message, facts, context.Now));
        context.Work.Append(EventStreams.OfVm(facts.Ownership.VmId), EventStreams.VmType, decision.OwnershipEvents);
        string about = EventStreams.OfOperation(state.OperationId);
        foreach (Effect effect in decision.Effects)
        {
            context.Work.Send(effect.Message, effect.HostId is null ? null : HostQueue.Of(effect.HostId), effect.DueAt, about);
        }

        if (decision.Events.Any(@event => @event is SpecOpSettled))
        {
            // A settled operation stays as it is, whatever falls due.
            context.Work.TakeBack(about);
        }

        context.AfterCommit(() =>
        {
            OperationMetrics.Record(decision);
            OperationLog.Record(context.Services, decision);
        });
    }

    private static async Task<SpecOpFacts> FactsAsync(SpecOpState state, object message, UnitOfWork work, CancellationToken cancellationToken)
    {
        SubmitSpecOp? request = message as SubmitSpecOp;
        string vmId = state.Accepted?.VmId ?? request?.VmId ?? "";
        OwnershipView ownership = SpecOpRules.IsName(vmId)
            ? (await work.LoadAsync(EventStreams.OfVm(vmId), OwnershipDecider.Unknown(vmId), OwnershipDecider.Evolve, cancellationToken)).State
            : OwnershipDecider.Unknown(vmId);
        List<string> unknown = [];
        foreach (string host in (request?.Targets ?? []).Take(SpecOpRules.MaxTargets).Where(SpecOpRules.IsName).Distinct(StringComparer.Ordinal))
        {
            Loaded<bool> known = await work.LoadAsync(EventStreams.OfHost(host), false, (_, _) => true, cancellationToken);
            if (!known.State)
            {
                unknown.Add(host);
            }
        }

        bool asksForOwner = state.Accepted is null && request?.Kind == OperationKind.PowerOn && ownership.OwnerHostId is not null;
        return new SpecOpFacts(
            ownership, unknown, asksForOwner ? await SuspicionAsync(ownership.OwnerHostId!, work, cancellationToken) : null, await UnfitAsync(state, message, work, cancellationToken));
    }

    /// <summary>A hedge's hosts were chosen a while ago; whatever may start the next replica asks what has become of them.</summary>
    private static async Task<IReadOnlyList<UnfitHost>?> UnfitAsync(SpecOpState state, object message, UnitOfWork work, CancellationToken cancellationToken)
    {
        List<UnfitHost> unfit = [];
        bool mayStartNext = message is HedgeDeadline or ReplicaDeadline or ReplicaFailed or ReplicaAborted or ReplicaCancelled or FenceOperation;
        foreach (string hostId in mayStartNext ? state.WaitingHostIds : [])
        {
            HostState host = (await work.LoadAsync(EventStreams.OfHost(hostId), HostState.Unknown(hostId), HostState.Evolve, cancellationToken)).State;
            if ((host.Fenced ?? await SuspicionAsync(hostId, work, cancellationToken)) is { } reason)
            {
                unfit.Add(new UnfitHost(hostId, reason, IsFenced: host.Fenced is not null));
            }
        }

        return unfit.Count > 0 ? unfit : null;
    }

    private static async Task<Reason?> SuspicionAsync(string hostId, UnitOfWork work, CancellationToken cancellationToken)
    {
        Loaded<HealthState> health = await work.LoadAsync(EventStreams.OfHealth(hostId), HealthState.Unknown(hostId), HealthState.Evolve, cancellationToken);
        return health.State.Suspicion;
    }
}
