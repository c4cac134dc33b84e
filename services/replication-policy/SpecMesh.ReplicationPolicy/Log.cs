using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.ReplicationPolicy;

/// <summary>Log lines of the service; event ids 2000 to 2099.</summary>
internal static partial class Log
{
    [LoggerMessage(2000, LogLevel.Information, "Operation {OperationId}: {Kind} of {VmId} accepted with {Sq} replicas, for {RequestedBy}")]
    public static partial void Accepted(ILogger logger, Guid operationId, OperationKind kind, string vmId, int sq, string? requestedBy);

    [LoggerMessage(2001, LogLevel.Information, "Operation {OperationId} refused, field {Field}: {Reason}")]
    public static partial void Refused(ILogger logger, Guid operationId, string field, string reason);

    [LoggerMessage(2002, LogLevel.Information, "Operation {OperationId} {Outcome}, winner {WinnerHostId}: {Reason}")]
    public static partial void Completed(ILogger logger, Guid operationId, OperationOutcome outcome, string? winnerHostId, string reason);

    [LoggerMessage(2003, LogLevel.Information, "Operation {OperationId}: replica {Replica} on {HostId} {Outcome}: {Reason}")]
    public static partial void ReplicaEnded(ILogger logger, Guid operationId, int replica, string hostId, ReplicaOutcome outcome, string reason);

    [LoggerMessage(2005, LogLevel.Warning, "{VmId}: its owner {HostId} is confirmed dead by {By}: {Detail}")]
    public static partial void MachineFenced(ILogger logger, string vmId, string hostId, string by, string detail);

    [LoggerMessage(2004, LogLevel.Warning, "{Path} could not be answered: the event store is away")]
    public static partial void StoreAway(ILogger logger, string path, Exception error);
}

/// <summary>A decision's reasons go to the log as well as into the event stream.</summary>
internal static class OperationLog
{
    public static void Record(IServiceProvider services, SpecOpDecision decision)
    {
        ILogger logger = services.GetRequiredService<ILoggerFactory>().CreateLogger("SpecMesh.ReplicationPolicy");
        foreach (object @event in decision.Events)
        {
            switch (@event)
            {
                case SpecOpAccepted e: Log.Accepted(logger, e.OperationId, e.Kind, e.VmId, e.Sq, e.RequestedBy); break;
                case SpecOpRefused e: Log.Refused(logger, e.OperationId, e.Field, e.Reason.Detail); break;
                case SpecOpCompleted e: Log.Completed(logger, e.OperationId, e.Outcome, e.WinnerHostId, e.Reason.Detail); break;
                case ReplicaAborted e: Log.ReplicaEnded(logger, e.OperationId, e.Replica, e.HostId, ReplicaOutcome.Aborted, e.Reason.Detail); break;
                case ReplicaFailed e: Log.ReplicaEnded(logger, e.OperationId, e.Replica, e.HostId, ReplicaOutcome.Failed, e.Reason.Detail); break;
                case ReplicaCancelled e: Log.ReplicaEnded(logger, e.OperationId, e.Replica, e.HostId, ReplicaOutcome.Cancelled, e.Reason.Detail); break;
            }
        }
    }
}
