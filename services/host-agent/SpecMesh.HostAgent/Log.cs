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

    [LoggerMessage(4003, LogLevel.Debug, "The window for further rounds is over")]
    public static partial void WindowOver(this ILogger logger);

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

    [LoggerMessage(4015, LogLevel.Warning, "A step of operation {OperationId} failed; it is repeated")]
    public static partial void EffectRepeated(this ILogger logger, Guid operationId, Exception error);

    [LoggerMessage(4016, LogLevel.Information, "{VmId} stood still for a migration without a vote; it goes on, because the agent stops")]
    public static partial void ResumedAtTheEnd(this ILogger logger, string vmId);

    [LoggerMessage(4017, LogLevel.Error, "{VmId} stands still and could not be resumed before the agent stops; the next agent resumes it")]
    public static partial void NotResumedAtTheEnd(this ILogger logger, string vmId, Exception error);

    [LoggerMessage(4018, LogLevel.Warning, "The journal could not be cleared of an entry that is settled")]
    public static partial void JournalNotCleared(this ILogger logger, Exception error);

    [LoggerMessage(4019, LogLevel.Error, "The guest of {VmId} ended on its own")]
    public static partial void GuestLost(this ILogger logger, string vmId);

    [LoggerMessage(4020, LogLevel.Warning, "What the guest of {VmId} has left could not be removed; the next agent removes it")]
    public static partial void LeftBehind(this ILogger logger, string vmId, Exception error);

    [LoggerMessage(4021, LogLevel.Debug, "Round {Round} of operation {OperationId} is not reported: too many wait for the broker")]
    public static partial void RoundDropped(this ILogger logger, Guid operationId, int round);

    [LoggerMessage(4022, LogLevel.Error, "What was decided about the guest of {VmId} could not be done; it is tried again")]
    public static partial void RecoveryRepeated(this ILogger logger, string vmId, Exception error);

    [LoggerMessage(4023, LogLevel.Warning, "The host could not be compared with the event streams (at {VmId}); it is tried again")]
    public static partial void NotReconciled(this ILogger logger, string vmId, Exception error);

    [LoggerMessage(4024, LogLevel.Critical, "A past guest of {VmId} is destroyed: {Detail}")]
    public static partial void PastGuestDestroyed(this ILogger logger, string vmId, string detail);

    [LoggerMessage(4025, LogLevel.Warning, "The ownership of {VmId} is given up: {Detail}")]
    public static partial void OwnershipReleased(this ILogger logger, string vmId, string detail);

    [LoggerMessage(4026, LogLevel.Critical, "{VmId} is unknown: {Detail}")]
    public static partial void GuestUnknown(this ILogger logger, string vmId, string detail);
}
