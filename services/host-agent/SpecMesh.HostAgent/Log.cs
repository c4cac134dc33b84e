using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>Log lines of the agent; event ids 4000 to 4099.</summary>
internal static partial class Log
{
    [LoggerMessage(4000, LogLevel.Information, "The hypervisor driver {Hypervisor} passed its self-test; dirty tracker {Tracker}")]
    public static partial void SelfTested(this ILogger logger, string hypervisor, string tracker);

    [LoggerMessage(4001, LogLevel.Information, "Guest of {VmId} found: {Action}, because {Reason}")]
    public static partial void Recovered(this ILogger logger, string vmId, RecoveryAction action, string reason);

    [LoggerMessage(4002, LogLevel.Information, "The agent of {HostId} stops; its guests go on")]
    public static partial void Stopping(this ILogger logger, string hostId);

    [LoggerMessage(4003, LogLevel.Debug, "{Count} rounds leave in one report")]
    public static partial void RoundsBatched(this ILogger logger, int count);

    [LoggerMessage(4004, LogLevel.Warning, "The report {Report} was not confirmed; it is repeated")]
    public static partial void ReportFailed(this ILogger logger, string report, Exception error);

    [LoggerMessage(4005, LogLevel.Debug, "{Message} was not published: {Detail}")]
    public static partial void PublishFailed(this ILogger logger, string message, string detail);

    [LoggerMessage(4006, LogLevel.Warning, "No answer about the ownership of {VmId}; it is asked again")]
    public static partial void OwnershipUnanswered(this ILogger logger, string vmId, Exception error);

    [LoggerMessage(4007, LogLevel.Critical, "This host owns {VmId} but cannot start it")]
    public static partial void OwnedGuestNotStarted(this ILogger logger, string vmId, Exception error);

    [LoggerMessage(4008, LogLevel.Critical, "The protocol of operation {OperationId} is broken; its guest stays as it is until an operator looks")]
    public static partial void ProtocolBroken(this ILogger logger, Guid operationId, Exception error);

    [LoggerMessage(4009, LogLevel.Error, "A step of operation {OperationId} failed unexpectedly")]
    public static partial void EffectFailed(this ILogger logger, Guid operationId, Exception error);

    [LoggerMessage(4010, LogLevel.Debug, "A step of operation {OperationId} was dropped: the operation is over here")]
    public static partial void EffectDropped(this ILogger logger, Guid operationId);

    [LoggerMessage(4011, LogLevel.Warning, "A migration stream from {Peer} was refused: {Detail}")]
    public static partial void StreamRefused(this ILogger logger, string? peer, string detail);

    [LoggerMessage(4012, LogLevel.Information, "The source of operation {OperationId} could not be told: {Detail}")]
    public static partial void SourceNotTold(this ILogger logger, Guid operationId, string detail);

    [LoggerMessage(4013, LogLevel.Warning, "A command to inject {Fault} was refused: SpecMesh:AllowFaultInjection is not set")]
    public static partial void FaultRefused(this ILogger logger, FaultKind fault);

    [LoggerMessage(4014, LogLevel.Warning, "Injected fault: {Fault}, after {AfterBytes} bytes, {BytesPerSecond} bytes/s")]
    public static partial void FaultInjected(this ILogger logger, FaultKind fault, long afterBytes, long bytesPerSecond);
}
