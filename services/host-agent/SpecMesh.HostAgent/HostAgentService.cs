using Microsoft.Extensions.Diagnostics.HealthChecks;
using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Hypervisors;
using SpecMesh.Hypervisors.Process;
using SpecMesh.Hypervisors.Xen;

namespace SpecMesh.HostAgent;

/// <summary>The map of the service: the commands that one host's agent takes. Several agents may live in one process.</summary>
public static class HostAgentService
{
    public static MeshBuilder AddHostAgent(this MeshBuilder mesh, HostAgentOptions options)
    {
        string id = options.HostId;
        mesh.Services.AddKeyedSingleton<AgentGate>(id);
        mesh.Services.AddKeyedSingleton<IHypervisor>(id, (services, _) => Driver(options, services.GetRequiredService<TimeProvider>()));
        mesh.Services.AddKeyedSingleton(id, (services, _) => new Agent(
            options,
            services.GetRequiredKeyedService<IHypervisor>(id),
            services.GetRequiredService<IOwnershipLog>(),
            services.GetRequiredService<MessageBus>(),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILogger<Agent>>(),
            services.GetRequiredService<FaultPoints>()));
        mesh.Services.AddSingleton<IHostedService>(services => new AgentWorker(
            services.GetRequiredKeyedService<Agent>(id), services.GetRequiredKeyedService<AgentGate>(id)));
        mesh.Services.AddHealthChecks().Add(new HealthCheckRegistration(
            $"host-agent {id}", services => new AgentHealth(services.GetRequiredKeyedService<AgentGate>(id)), HealthStatus.Unhealthy, [MeshHealth.ReadyTag]));
        return mesh.Endpoint(HostQueue.Of(id), endpoint => endpoint
            .Receive<StartReplica>(On<StartReplica>(id, StartReplicaHandler.Handle))
            .Receive<ConnectReplica>(On<ConnectReplica>(id, ConnectReplicaHandler.Handle))
            .Receive<AbortReplica>(On<AbortReplica>(id, AbortReplicaHandler.Handle))
            .Receive<CommitReplica>(On<CommitReplica>(id, CommitReplicaHandler.Handle))
            .Receive<ReconcileHost>(On<ReconcileHost>(id, ReconcileHostHandler.Handle))
            .Receive<ConfirmReplica>(On<ConfirmReplica>(id, ConfirmReplicaHandler.Handle))
            .Receive<ReleaseSource>(On<ReleaseSource>(id, ReleaseSourceHandler.Handle))
            .Receive<InjectFault>(On<InjectFault>(id, InjectFaultHandler.Handle)));
    }

    private static IHypervisor Driver(HostAgentOptions options, TimeProvider time) => options.Hypervisor == HypervisorChoice.Xen
        ? new XenHypervisor(new XenHypervisorOptions(options.XenConfigurations!) { SnapshotDirectory = Path.Combine(options.StateDirectory, "snapshots") }, time)
        : new ProcessHypervisor(new ProcessHypervisorOptions(Path.Combine(options.StateDirectory, "hypervisor"), options.DirtyTracker));

    private static Func<T, HandlerContext, CancellationToken, Task> On<T>(string hostId, Action<Agent, T> handle) => async (message, context, token) =>
    {
        await context.Services.GetRequiredKeyedService<AgentGate>(hostId).WaitAsync(token);
        handle(context.Services.GetRequiredKeyedService<Agent>(hostId), message);
    };
}
