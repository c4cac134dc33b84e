using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.Health;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.FailureMonitor;

/// <summary>
/// Use case: a replica has won or failed on a host. Aborted and cancelled replicas are not listened to: they lost to a policy or to their caller, not to a fault. Nor is a failure
/// counted that comes after another replica's commit: the source closes the losers' migration streams then, which a busy loser cannot tell from a broken one.
/// </summary>
internal static class CountedOutcomes
{
    public static async Task HandleAsync(ReplicaFailed report, HandlerContext context, CancellationToken cancellationToken)
    {
        if (!await HasWinnerAsync(report.OperationId, context, cancellationToken))
        {
            await context.DecideAsync(report.HostId, report, health => HealthDecider.Decide(health, report, context.Now), cancellationToken);
        }
    }

    public static Task HandleAsync(ReplicaResumed report, HandlerContext context, CancellationToken cancellationToken) =>
        context.DecideAsync(report.HostId, report, health => HealthDecider.Decide(health, report, context.Now), cancellationToken);

    /// <summary>Asks the machine's event stream: the operation's own may not have heard of the commit yet.</summary>
    private static async Task<bool> HasWinnerAsync(Guid operationId, HandlerContext context, CancellationToken cancellationToken)
    {
        SpecOpState operation = (await context.Work.LoadAsync(EventStreams.OfOperation(operationId), new SpecOpState(operationId), SpecOpState.Evolve, cancellationToken)).State;
        if (operation.Accepted?.VmId is not { } vmId)
        {
            return false;
        }

        OwnershipView machine = (await context.Work.LoadAsync(EventStreams.OfVm(vmId), OwnershipDecider.Unknown(vmId), OwnershipDecider.Evolve, cancellationToken)).State;
        return operation.Completed?.WinnerReplica is not null || OwnershipDecider.IsWon(machine, operationId);
    }
}
