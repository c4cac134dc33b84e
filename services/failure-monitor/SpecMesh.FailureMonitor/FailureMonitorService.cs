using Microsoft.Extensions.Options;
using SpecMesh.Contracts;
using SpecMesh.Hosting;

namespace SpecMesh.FailureMonitor;

/// <summary>Says which hosts are suspected and why, and keeps <c>health-{id}</c>. One file per use case; this one is the map.</summary>
public static class FailureMonitorService
{
    /// <summary>Queue that receives every message of this service.</summary>
    public const string Queue = "failure-monitor";

    public static MeshBuilder AddFailureMonitor(this MeshBuilder mesh)
    {
        mesh.Services.AddOptions<FailureMonitorOptions>().BindConfiguration(FailureMonitorOptions.Section).ValidateOnStart();
        mesh.Services.AddSingleton<IValidateOptions<FailureMonitorOptions>, FailureMonitorOptionsValidator>();
        mesh.Services.AddSingleton<HostWatch>();
        mesh.Services.AddHostedService<SilenceSweep>();
        mesh.Services.AddHostedService<FaultInjector>();
        mesh.View("failure-monitor-hosts", (services, stored) => services.GetRequiredService<HostWatch>().Apply(stored));
        return mesh.Endpoint(Queue, endpoint => endpoint
            .Handle<HostHeartbeat>(HeardHost.HandleAsync)
            .Handle<HeartbeatDeadline>(SilentHost.HandleAsync)
            .Handle<ReplicaFailed>(CountedOutcomes.HandleAsync)
            .Handle<ReplicaResumed>(CountedOutcomes.HandleAsync));
    }
}
