using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace SpecMesh.Hosting;

/// <summary>
/// How a service knows that a request came through the gateway, which has checked who calls: the secret <c>SpecMesh:GatewayKey</c> in the header
/// <see cref="KeyHeader"/>. Without it, whoever reaches the service's port could call without an API key, and in any client's name.
/// </summary>
public static class GatewayCredential
{
    /// <summary>Header that holds the gateway's secret.</summary>
    public const string KeyHeader = "X-SpecMesh-Gateway";

    /// <summary>Header in which the gateway names the client; to be believed only beside the right secret.</summary>
    public const string ClientHeader = "X-SpecMesh-Client";

    /// <summary>Name of the setting.</summary>
    public const string Setting = "SpecMesh:GatewayKey";

    private const int ShortestKey = 16;
    private const int LongestKey = 256;

    /// <summary>What is wrong with the setting; null when it can be used. The secret itself is never part of the message.</summary>
    public static string? ErrorOf(IConfiguration configuration)
    {
        string key = configuration[Setting] ?? "";
        if (key.Length is < ShortestKey or > LongestKey || key.Any(c => c is < '!' or > '~'))
        {
            return $"{Setting} must be {ShortestKey} to {LongestKey} visible ASCII characters: the gateway shows it to the services behind it.";
        }

        return key == configuration["SpecMesh:ClusterKey"] ? $"{Setting} must not be SpecMesh:ClusterKey: agents are not the gateway." : null;
    }

    /// <summary>
    /// Routes that only the gateway may call; anybody else gets 401 before a byte of the body is read. A process that maps such routes does not start without the setting.
    /// </summary>
    public static RouteGroupBuilder MapBehindGateway(this IEndpointRouteBuilder app)
    {
        app.ServiceProvider.GetRequiredService<GatewayDoor>().IsMapped = true;
        RouteGroupBuilder group = app.MapGroup("");
        ((IEndpointConventionBuilder)group).Add(endpoint =>
        {
            RequestDelegate next = endpoint.RequestDelegate ?? throw new InvalidOperationException($"{endpoint.DisplayName} has nothing to guard.");
            endpoint.RequestDelegate = http => Proves(http) ? next(http) : RefuseAsync(http);
        });
        return group;
    }

    /// <summary>The client that the gateway named; null when it named none.</summary>
    public static string? ClientOf(HttpRequest request) => request.Headers[ClientHeader].ToString() is { Length: > 0 } client ? client : null;

    private static bool Proves(HttpContext http)
    {
        string key = http.RequestServices.GetRequiredService<IOptions<GatewayAccessOptions>>().Value.GatewayKey;
        return http.Request.Headers[KeyHeader] is [{ } shown] && CryptographicOperations.FixedTimeEquals(DigestOf(shown), DigestOf(key));
    }

    private static Task RefuseAsync(HttpContext http) => Results.Problem(
        statusCode: StatusCodes.Status401Unauthorized,
        title: "Only the gateway may call here.",
        extensions: new Dictionary<string, object?> { ["field"] = KeyHeader }).ExecuteAsync(http);

    /// <summary>Digests have one length, so that the comparison's duration does not tell that of the secret.</summary>
    private static byte[] DigestOf(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}

/// <summary>What a service behind the gateway is told of it.</summary>
internal sealed class GatewayAccessOptions
{
    /// <summary>The gateway's secret.</summary>
    public string GatewayKey { get; set; } = "";
}

/// <summary>Whether this process has routes for the gateway: a process without HTTP needs no secret.</summary>
internal sealed class GatewayDoor
{
    public bool IsMapped { get; set; }
}

/// <summary>Refuses to start with routes for the gateway and without its secret.</summary>
internal sealed class GatewayAccessValidator(GatewayDoor door, IConfiguration configuration) : IValidateOptions<GatewayAccessOptions>
{
    public ValidateOptionsResult Validate(string? name, GatewayAccessOptions options) =>
        door.IsMapped && GatewayCredential.ErrorOf(configuration) is { } error ? ValidateOptionsResult.Fail(error) : ValidateOptionsResult.Success;
}
