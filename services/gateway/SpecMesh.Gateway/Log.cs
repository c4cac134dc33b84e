using System.Net;

namespace SpecMesh.Gateway;

/// <summary>Log lines of the gateway, ids 6000 to 6099. Keys are never logged.</summary>
internal static partial class Log
{
    [LoggerMessage(6000, LogLevel.Information, "Routing to replication-policy at {ReplicationPolicy} and placement at {Placement}, for clients {Clients}")]
    public static partial void Routing(ILogger logger, string replicationPolicy, string placement, string clients);

    [LoggerMessage(6001, LogLevel.Warning, "A request from {Address} has a wrong API key")]
    public static partial void WrongKey(ILogger logger, IPAddress? address);

    [LoggerMessage(6002, LogLevel.Warning, "{Client} is over the rate limit")]
    public static partial void RateLimited(ILogger logger, string client);
}
