using Microsoft.Extensions.Options;
using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.ReplicationPolicy;

/// <summary>Who may call as an agent.</summary>
public sealed class AgentAccessOptions
{
    /// <summary>Secret that all agents of the cluster share with this service, at least 16 characters.</summary>
    public string ClusterKey { get; set; } = "";
}

/// <summary>Refuses to start without a usable key.</summary>
public sealed class AgentAccessValidator : IValidateOptions<AgentAccessOptions>
{
    public ValidateOptionsResult Validate(string? name, AgentAccessOptions options) => options.ClusterKey.Length >= 16
        ? ValidateOptionsResult.Success
        : ValidateOptionsResult.Fail("SpecMesh:ClusterKey must be set, with at least 16 characters: agents prove with it that they may own machines.");
}

/// <summary>The direct calls of the agents: the ownership event stream over HTTP, authenticated per host.</summary>
public static class OwnershipCalls
{
    public static void MapOwnership(this IEndpointRouteBuilder app)
    {
        RouteGroupBuilder group = app.MapGroup("/ownership/{vmId}");
        group.AddEndpointFilter(AuthenticateAsync);
        group.MapGet("", (string vmId, Ownership ownership, CancellationToken token) => ownership.ReadAsync(vmId, token));
        group.MapPost("/transfer", (string vmId, TransferOwnership request, HttpContext http, Ownership ownership, CancellationToken token) =>
            OnlyFor(http, request.HostId, () => ownership.TransferAsync(vmId, request, token)));
        group.MapPost("/refuse", (string vmId, RefuseTransfer request, HttpContext http, Ownership ownership, CancellationToken token) =>
            OnlyFor(http, request.HostId, () => ownership.RefuseAsync(vmId, request, token)));
    }

    private static async Task<IResult> OnlyFor(HttpContext http, string hostId, Func<Task<OwnershipAnswer>> call) =>
        http.Items[nameof(AgentCredential)] as string == hostId
            ? Results.Json(await call(), ContractJson.Options)
            : Results.Problem(statusCode: StatusCodes.Status403Forbidden, title: "An agent speaks for its own host only.", extensions: new Dictionary<string, object?> { ["field"] = "hostId" });

    private static async ValueTask<object?> AuthenticateAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        HttpContext http = context.HttpContext;
        string key = http.RequestServices.GetRequiredService<IOptions<AgentAccessOptions>>().Value.ClusterKey;
        if (AgentCredential.HostOf(http.Request.Headers.Authorization.ToString(), key) is not { } hostId)
        {
            return Results.Problem(statusCode: StatusCodes.Status401Unauthorized, title: "Only agents of this cluster may ask for ownership.");
        }

        if (!SpecOpRules.IsName(http.GetRouteValue("vmId") as string))
        {
            return Results.Problem(statusCode: StatusCodes.Status400BadRequest, title: "That is no name of a machine.", extensions: new Dictionary<string, object?> { ["field"] = "vmId" });
        }

        http.Items[nameof(AgentCredential)] = hostId;
        return await next(context);
    }
}
