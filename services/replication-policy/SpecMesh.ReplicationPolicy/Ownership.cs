using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hosting;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.ReplicationPolicy;

/// <summary>
/// Appends to and reads the event streams <c>vm-{VmId}</c> for agents. Every instance of the service may answer: the expected version decides, not who is asked.
/// </summary>
public sealed class Ownership(IEventStore store, EventTypes types, FoldCache folds, FaultPoints? faultPoints = null)
{
    /// <summary>The commit of a target. Its news leaves with the append, in the same transaction.</summary>
    public Task<OwnershipAnswer> TransferAsync(string vmId, TransferOwnership request, CancellationToken cancellationToken) =>
        DecideAsync(vmId, request.OperationId, view => OwnershipDecider.Transfer(view, request), cancellationToken);

    /// <summary>The owner's guest has ended.</summary>
    public Task<OwnershipAnswer> ReleaseAsync(string vmId, ReleaseOwnership request, CancellationToken cancellationToken) =>
        DecideAsync(vmId, null, view => OwnershipDecider.Release(view, request), cancellationToken);

    /// <summary>The source takes its vote back, and makes every image void.</summary>
    public Task<OwnershipAnswer> RefuseAsync(string vmId, RefuseTransfer request, CancellationToken cancellationToken) =>
        DecideAsync(vmId, request.OperationId, view => OwnershipDecider.Refuse(view, request), cancellationToken);

    /// <summary>What the event stream says now.</summary>
    public async Task<OwnershipView> ReadAsync(string vmId, CancellationToken cancellationToken) =>
        (await new UnitOfWork(store, types, ReplicationPolicyService.Name, folds).ReadAsync(
            EventStreams.OfVm(vmId), OwnershipDecider.Unknown(vmId), OwnershipDecider.Evolve, cancellationToken)).State;

    private async Task<OwnershipAnswer> DecideAsync(string vmId, Guid? operationId, Func<OwnershipView, OwnershipDecision> decide, CancellationToken cancellationToken)
    {
        while (true)
        {
            UnitOfWork work = new(store, types, ReplicationPolicyService.Name, folds) { CorrelationId = operationId?.ToString() };
            OwnershipView view = (await LoadAsync(work, vmId, cancellationToken)).State;
            OwnershipDecision decision = decide(view);
            work.Append(EventStreams.OfVm(vmId), EventStreams.VmType, decision.Events);
            foreach (object @event in decision.Events)
            {
                work.Send(@event);
            }

            await ReachAsync(FaultPoints.Appending, operationId, cancellationToken);
            try
            {
                await work.CommitAsync(null, cancellationToken);
            }
            catch (ConcurrencyException)
            {
                // Somebody else's append is the decision now. Every round of this loop means that the event stream has grown by another's event since it was read, so it ends.
                continue;
            }

            await ReachAsync(FaultPoints.Answering, operationId, cancellationToken);
            OwnershipView after = decision.Events.Aggregate(view, OwnershipDecider.Evolve);
            return new OwnershipAnswer(decision.Accepted, after, decision.Reason);
        }
    }

    private Task ReachAsync(string point, Guid? operationId, CancellationToken cancellationToken) =>
        faultPoints?.ReachAsync(ReplicationPolicyService.Name, point, operationId ?? Guid.Empty, cancellationToken) ?? Task.CompletedTask;

    private static Task<Loaded<OwnershipView>> LoadAsync(UnitOfWork work, string vmId, CancellationToken cancellationToken) =>
        work.LoadAsync(EventStreams.OfVm(vmId), OwnershipDecider.Unknown(vmId), OwnershipDecider.Evolve, cancellationToken);
}
