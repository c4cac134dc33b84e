namespace SpecMesh.FailureMonitor;

/// <summary>Log lines of the failure monitor, ids 4000 to 4099.</summary>
internal static partial class Log
{
    [LoggerMessage(4000, LogLevel.Warning, "Host {HostId} is suspected. {Detail}")]
    public static partial void HostSuspected(ILogger logger, string hostId, string detail);

    [LoggerMessage(4001, LogLevel.Information, "Host {HostId} is trusted again. {Detail}")]
    public static partial void HostRecovered(ILogger logger, string hostId, string detail);

    [LoggerMessage(4002, LogLevel.Debug, "Host {HostId}: replica {Replica} of operation {OperationId} counted, failed {Failed}")]
    public static partial void OutcomeCounted(ILogger logger, string hostId, Guid operationId, int replica, bool failed);

    [LoggerMessage(4003, LogLevel.Warning, "A look at the silences could not be told to the bus")]
    public static partial void SweepFailed(ILogger logger, Exception exception);
}
