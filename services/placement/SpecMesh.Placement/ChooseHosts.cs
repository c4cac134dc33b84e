using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Placement;

/// <summary>Use case: an operation needs hosts. The choice itself is <see cref="PlacementDecider"/>.</summary>
internal static class ChooseHosts
{
    public static async Task HandleAsync(SelectTargets command, HandlerContext context, CancellationToken cancellationToken)
    {
        context.Work.CorrelationId = command.OperationId.ToString();
        Fleet fleet = await context.LoadFleetAsync(cancellationToken);
        PlacementDecision decision = PlacementDecider.Decide(fleet, command, context.Now);
        context.Do(decision, command);
        ILogger logger = context.Services.GetRequiredService<ILogger<HostsView>>();
        context.AfterCommit(() => Tell(logger, decision));
    }

    private static void Tell(ILogger logger, PlacementDecision decision)
    {
        foreach (Effect effect in decision.Effects)
        {
            switch (effect.Message)
            {
                case TargetsReserved reserved:
                    Log.TargetsReserved(logger, reserved.OperationId, reserved.Request, reserved.HostIds, reserved.Reason.Detail);
                    break;
                case TargetsRefused refused:
                    Log.TargetsRefused(logger, refused.OperationId, refused.Request, refused.Reason.Code, refused.Reason.Detail);
                    break;
            }
        }
    }
}
