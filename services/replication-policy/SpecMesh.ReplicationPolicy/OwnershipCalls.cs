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
        RouteGroupBuilder group = app.MapGroup("/ownership");
        ((IEndpointConventionBuilder)group).Add(endpoint =>
        {
            // Around the endpoint and not a filter in it: a filter runs only after the body was read, and a stranger's body is not read.
            RequestDelegate next = endpoint.RequestDelegate ?? throw new InvalidOperationException($"{endpoint.DisplayName} has nothing to guard.");
            endpoint.RequestDelegate = http => AuthenticateAsync(http, next);
        });
        group.MapGet("", (string host, HttpContext http, OperationDirectory directory) => IsCaller(http, host)
            ? Results.Json(directory.OwnedBy(host), ContractJson.Options)
            : Problem(StatusCodes.Status403Forbidden, "host", "An agent asks for its own host only."));
        group.MapGet("/{vmId}", (string vmId, Ownership ownership, CancellationToken token) => ownership.ReadAsync(vmId, token));
        group.MapPost("/{vmId}/transfer", (string vmId, TransferOwnership request, HttpContext http, Ownership ownership, CancellationToken token) =>
            OnlyFor(http, request.HostId, ErrorOf(request), () => ownership.TransferAsync(vmId, request, token)));
        group.MapPost("/{vmId}/refuse", (string vmId, RefuseTransfer request, HttpContext http, Ownership ownership, CancellationToken token) =>
            OnlyFor(http, request.HostId, ErrorOf(request), () => ownership.RefuseAsync(vmId, request, token)));
        group.MapPost("/{vmId}/release", (string vmId, ReleaseOwnership request, HttpContext http, Ownership ownership, CancellationToken token) =>
            OnlyFor(http, request.HostId, ErrorOf(request.Reason), () => ownership.ReleaseAsync(vmId, request, token)));
    }

    private static async Task<IResult> OnlyFor(HttpContext http, string hostId, string? missing, Func<Task<OwnershipAnswer>> call)
    {
        if (!IsCaller(http, hostId))
        {
            return Problem(StatusCodes.Status403Forbidden, "hostId", "An agent speaks for its own host only.");
        }

        return missing is null ? Results.Json(await call(), ContractJson.Options) : Problem(StatusCodes.Status400BadRequest, missing, "The call leaves this out.");
    }

    private static bool IsCaller(HttpContext http, string hostId) => http.Items[nameof(AgentCredential)] as string == hostId;

    /// <summary>What would be recorded for ever must be there; numbers that are left out are zero, which no open operation's version is.</summary>
    private static string? ErrorOf(TransferOwnership request) => string.IsNullOrEmpty(request.Digest) ? "digest" : null;

    private static string? ErrorOf(RefuseTransfer request) => ErrorOf(request.Reason);

    private static string? ErrorOf(Reason? reason) => reason is { Code: not null, Detail: not null } ? null : "reason";

    private static Task AuthenticateAsync(HttpContext http, RequestDelegate next)
    {
        string key = http.RequestServices.GetRequiredService<IOptions<AgentAccessOptions>>().Value.ClusterKey;
        if (AgentCredential.HostOf(http.Request.Headers.Authorization.ToString(), key) is not { } hostId)
        {
            return Problem(StatusCodes.Status401Unauthorized, "Authorization", "Only agents of this cluster may ask for ownership.").ExecuteAsync(http);
        }

        if (http.GetRouteValue("vmId") is { } vmId && !SpecOpRules.IsName(vmId as string))
        {
            return Problem(StatusCodes.Status400BadRequest, "vmId", "That is no name of a machine.").ExecuteAsync(http);
        }

        http.Items[nameof(AgentCredential)] = hostId;
        return next(http);
    }

    private static IResult Problem(int status, string field, string title) =>
        Results.Problem(statusCode: status, title: title, extensions: new Dictionary<string, object?> { ["field"] = field });
}
