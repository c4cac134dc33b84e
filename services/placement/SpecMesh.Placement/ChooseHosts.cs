using Microsoft.Extensions.Options;
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
        SpeculationPolicy policy = context.Services.GetRequiredService<IOptions<PlacementOptions>>().Value.ToPolicy();
        Fleet fleet = await context.LoadFleetAsync(cancellationToken);
        if (SpeculationDecider.Concerns(command, policy))
        {
            fleet = fleet with { Speculation = await context.LoadSpeculationAsync(cancellationToken) };
        }

        PlacementDecision decision = PlacementDecider.Decide(fleet, command, context.Now, policy);
        context.Do(decision, command);
        ILogger logger = context.Services.GetRequiredService<ILogger<HostsView>>();
        context.AfterCommit(() => Tell(logger, decision));
    }

    private static void Tell(ILogger logger, PlacementDecision decision)
    {
        if (decision.Speculation?.Decided is { } speculation && speculation.Replicas < speculation.WantedReplicas)
        {
            Log.BudgetCut(logger, speculation.OperationId, speculation.WantedReplicas, speculation.Replicas, speculation.BudgetReplicas);
        }

        if (decision.Speculation?.Decided is { ProbedHostId: { } hostId } probe)
        {
            Log.HostProbed(logger, hostId, probe.OperationId);
        }

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
