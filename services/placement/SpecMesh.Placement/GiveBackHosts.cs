using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Placement;

/// <summary>Use case: an operation gives hosts back before its end.</summary>
internal static class GiveBackHosts
{
    public static async Task HandleAsync(ReleaseTargets command, HandlerContext context, CancellationToken cancellationToken)
    {
        Fleet fleet = await context.LoadHostsAsync(command.HostIds, cancellationToken);
        if (!fleet.IsHeldFor(command.OperationId))
        {
            return;
        }

        OperationFacts operation = await context.LoadOperationAsync(command.OperationId, cancellationToken);
        context.Do(ReservationDecider.Decide(fleet, command, operation), command);
    }
}
