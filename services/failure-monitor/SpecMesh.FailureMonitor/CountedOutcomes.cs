using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.Health;

namespace SpecMesh.FailureMonitor;

/// <summary>Use case: a replica has won or failed on a host. Aborted and cancelled replicas are not listened to: they lost to a policy or to their caller, not to a fault.</summary>
internal static class CountedOutcomes
{
    public static Task HandleAsync(ReplicaFailed report, HandlerContext context, CancellationToken cancellationToken) =>
        context.DecideAsync(report.HostId, report, health => HealthDecider.Decide(health, report), cancellationToken);

    public static Task HandleAsync(ReplicaResumed report, HandlerContext context, CancellationToken cancellationToken) =>
        context.DecideAsync(report.HostId, report, health => HealthDecider.Decide(health, report), cancellationToken);
}
