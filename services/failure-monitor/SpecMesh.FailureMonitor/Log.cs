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

    [LoggerMessage(4004, LogLevel.Critical, "FAULT INJECTION IS ON: {Percent} % of the trusted hosts refuse shells at every instant, each for {MinSeconds} to {MaxSeconds} s, seed {Seed}. This is no production cluster")]
    public static partial void FaultInjectionIsOn(ILogger logger, double percent, double minSeconds, double maxSeconds, ulong seed);

    [LoggerMessage(4005, LogLevel.Warning, "Fault injection begins anew: {Failed} of {Hosts} trusted hosts are broken from here on")]
    public static partial void FaultsBegin(ILogger logger, int failed, int hosts);

    [LoggerMessage(4006, LogLevel.Warning, "Host {HostId} is broken on purpose for {Seconds} s: it refuses shells")]
    public static partial void FaultInjected(ILogger logger, string hostId, double seconds);

    [LoggerMessage(4007, LogLevel.Warning, "Host {HostId} is broken on purpose no longer")]
    public static partial void FaultEnded(ILogger logger, string hostId);

    [LoggerMessage(4008, LogLevel.Warning, "Agents could not be told of injected faults")]
    public static partial void FaultsNotTold(ILogger logger, Exception exception);
}
