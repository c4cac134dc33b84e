using SpecMesh.Contracts;
using SpecMesh.Hosting;

namespace SpecMesh.ReplicationPolicy;

/// <summary>The map of the service: what it listens to and what it answers.</summary>
public static class ReplicationPolicyService
{
    /// <summary>Queue of the service, and name of its outbox.</summary>
    public const string Name = "replication-policy";

    /// <summary>The saga of the operations, the ownership calls and the views.</summary>
    public static MeshBuilder AddReplicationPolicy(this MeshBuilder mesh)
    {
        mesh.Services.AddOptions<AgentAccessOptions>().Bind(mesh.Configuration.GetSection("SpecMesh")).ValidateOnStart();
        mesh.Services.AddSingleton<Microsoft.Extensions.Options.IValidateOptions<AgentAccessOptions>, AgentAccessValidator>();
        mesh.Services.AddSingleton<Ownership>();
        mesh.AddSpecOpSaga();
        mesh.AddFencing();
        mesh.FaultPoint<SpecOpAccepted>(FaultPoints.Accepting, FaultPoints.Accepted, accepted => accepted.OperationId);
        mesh.FaultPoint<StartReplica>(FaultPoints.Planning, FaultPoints.Planned, start => start.OperationId);
        mesh.FaultPoint<SpecOpSettled>(null, FaultPoints.Settled, settled => settled.OperationId);
        return mesh.AddDirectory();
    }

    /// <summary>The HTTP side: operations and machines for the gateway, ownership for the agents.</summary>
    public static void MapReplicationPolicy(this IEndpointRouteBuilder app)
    {
        RouteGroupBuilder routes = app.MapGroup("");
        routes.AddEndpointFilter(StoreAway.AnswerAsync);
        RouteGroupBuilder forGateway = routes.MapBehindGateway();
        forGateway.MapSubmitOperation();
        forGateway.MapCancelOperation();
        forGateway.MapReadOperations();
        forGateway.MapOperationEvents();
        forGateway.MapReadVms();
        routes.MapOwnership();
    }
}
