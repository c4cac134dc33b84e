using Microsoft.Extensions.Options;
using SpecMesh.Contracts;
using SpecMesh.Hosting;

namespace SpecMesh.Placement;

/// <summary>Picks hosts, reserves memory on them, and keeps <c>host-{id}</c>. One file per use case; this one is the map.</summary>
public static class PlacementService
{
    /// <summary>Queue that receives every message of this service.</summary>
    public const string Queue = "placement";

    public static MeshBuilder AddPlacement(this MeshBuilder mesh)
    {
        mesh.Services.AddOptions<PlacementOptions>().BindConfiguration(PlacementOptions.Section).ValidateOnStart();
        mesh.Services.AddSingleton<IValidateOptions<PlacementOptions>, PlacementOptionsValidator>();
        mesh.Services.AddSingleton<HostsView>();
        mesh.View("placement-hosts", (services, stored) => services.GetRequiredService<HostsView>().Apply(stored));
        mesh.FaultPoint<TargetsReserved>(FaultPoints.Reserving, FaultPoints.Reserved, reserved => reserved.OperationId);
        return mesh.Endpoint(Queue, endpoint => endpoint
            .InTurns()
            .Handle<SelectTargets>(ChooseHosts.HandleAsync)
            .Handle<ReleaseTargets>(GiveBackHosts.HandleAsync)
            .Handle<ReplicaCleaned>(CleanedReplica.HandleAsync)
            .Handle<SpecOpCompleted>(EndedOperation.HandleAsync)
            .Handle<SpecOpSettled>(EndedOperation.HandleAsync)
            .Handle<ReservationDeadline>(LapsedLease.HandleAsync)
            .Handle<HostHeartbeat>(RegisteredHost.HandleAsync)
            .Handle<SetHostMaintenance>(Maintenance.HandleAsync)
            .Handle<FenceHost>(FencedHost.HandleAsync));
    }

    /// <summary>The HTTP side, for the gateway alone.</summary>
    public static void MapPlacement(this IEndpointRouteBuilder endpoints)
    {
        RouteGroupBuilder forGateway = endpoints.MapBehindGateway();
        forGateway.MapGet("/v1/hosts", ListedHosts.Get);
        forGateway.MapChangedHost();
    }
}
