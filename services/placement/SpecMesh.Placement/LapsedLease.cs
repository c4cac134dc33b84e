using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Placement;

/// <summary>Use case: a reservation's lease has lapsed. This is what makes reservations unable to leak, whatever else gets lost.</summary>
internal static class LapsedLease
{
    public static async Task HandleAsync(ReservationDeadline deadline, HandlerContext context, CancellationToken cancellationToken)
    {
        Fleet fleet = await context.LoadHostsAsync([deadline.HostId], cancellationToken);
        if (!fleet.IsHeldFor(deadline.OperationId))
        {
            return;
        }

        OperationFacts operation = await context.LoadOperationAsync(deadline.OperationId, cancellationToken);
        PlacementDecision decision = ReservationDecider.Decide(fleet, deadline, operation, context.Now);
        context.Do(decision, deadline);
        if (decision.EventsByHost.Count > 0)
        {
            Log.LeaseLapsed(context.Services.GetRequiredService<ILogger<HostsView>>(), deadline.HostId, deadline.OperationId, operation.Standing);
        }
    }
}
