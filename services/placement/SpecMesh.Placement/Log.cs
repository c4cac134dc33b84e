using SpecMesh.Speculation.Placement;

namespace SpecMesh.Placement;

/// <summary>Log lines of placement, ids 3000 to 3099.</summary>
internal static partial class Log
{
    [LoggerMessage(3000, LogLevel.Information, "Operation {OperationId}, request {Request}: {HostIds} reserved. {Detail}")]
    public static partial void TargetsReserved(ILogger logger, Guid operationId, int request, IReadOnlyList<string> hostIds, string detail);

    [LoggerMessage(3001, LogLevel.Warning, "Operation {OperationId}, request {Request}: refused, {Code}. {Detail}")]
    public static partial void TargetsRefused(ILogger logger, Guid operationId, int request, string code, string detail);

    [LoggerMessage(3002, LogLevel.Information, "Host {HostId} in {FailureDomain} has {MemoryBytes} bytes for guests")]
    public static partial void HostRegistered(ILogger logger, string hostId, string failureDomain, long memoryBytes);

    [LoggerMessage(3003, LogLevel.Warning, "The lease on {HostId} for operation {OperationId}, which is {Standing}, has lapsed")]
    public static partial void LeaseLapsed(ILogger logger, string hostId, Guid operationId, OperationStanding standing);

    [LoggerMessage(3004, LogLevel.Information, "Host {HostId}: maintenance {InMaintenance}, asked by {RequestedBy}")]
    public static partial void MaintenanceSet(ILogger logger, string hostId, bool inMaintenance, string? requestedBy);

    [LoggerMessage(3005, LogLevel.Warning, "Maintenance of the unknown host {HostId}, asked by {RequestedBy}, is passed over")]
    public static partial void MaintenanceOfUnknownHost(ILogger logger, string hostId, string? requestedBy);

    [LoggerMessage(3006, LogLevel.Warning, "{VmId} is gone from {HostId}, whose agent has not listed it for {Beats} beats: its memory is free again")]
    public static partial void GuestGone(ILogger logger, string vmId, string hostId, int beats);

    [LoggerMessage(3007, LogLevel.Warning, "{VmId} runs on {HostId}, which owns it, and was not allocated there for {Beats} beats: {MemoryBytes} bytes are taken")]
    public static partial void GuestFound(ILogger logger, string vmId, string hostId, int beats, long memoryBytes);

    [LoggerMessage(3008, LogLevel.Warning, "Host {HostId} is confirmed dead by {RequestedBy}: what waited for it is released")]
    public static partial void Fenced(ILogger logger, string hostId, string? requestedBy);

    [LoggerMessage(3009, LogLevel.Warning, "The confirmation by {RequestedBy} that host {HostId} is dead is refused: {Detail}")]
    public static partial void FenceRefused(ILogger logger, string hostId, string? requestedBy, string detail);

    [LoggerMessage(3010, LogLevel.Debug, "The change of host {HostId} lost a race; it is decided again")]
    public static partial void HostChangeRepeated(ILogger logger, string hostId);

    [LoggerMessage(3011, LogLevel.Warning, "Operation {OperationId} wanted {Wanted} replicas and gets {Granted}: the cluster's budget for speculative replicas is down to {BudgetReplicas}")]
    public static partial void BudgetCut(ILogger logger, Guid operationId, int wanted, int granted, double? budgetReplicas);

    [LoggerMessage(3012, LogLevel.Information, "Host {HostId}, which was avoided for its failures, is tried again by one replica more of operation {OperationId}")]
    public static partial void HostProbed(ILogger logger, string hostId, Guid operationId);
}
