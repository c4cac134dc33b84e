using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Placement;

/// <summary>Use case: a replica has left its host.</summary>
internal static class CleanedReplica
{
    public static async Task HandleAsync(ReplicaCleaned message, HandlerContext context, CancellationToken cancellationToken)
    {
        Fleet fleet = await context.LoadHostsAsync([message.HostId], cancellationToken);
        if (!fleet.IsHeldFor(message.OperationId))
        {
            return;
        }

        OperationFacts operation = await context.LoadOperationAsync(message.OperationId, cancellationToken);
        context.Do(ReservationDecider.Decide(fleet, message, operation), message);
    }
}
