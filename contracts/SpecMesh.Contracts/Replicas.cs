namespace SpecMesh.Contracts;

/// <summary>What one replica has cost so far. All counters begin with the replica's start.</summary>
/// <param name="BytesSent">Bytes written to the migration stream.</param>
/// <param name="PagesSent">4 KiB pages written, zero pages included.</param>
/// <param name="Rounds">Pre-copy rounds that are complete.</param>
/// <param name="CpuMs">Milliseconds of processor time of the sending thread.</param>
/// <param name="ElapsedMs">Milliseconds since the replica's start.</param>
public sealed record ReplicaCounters(long BytesSent, long PagesSent, int Rounds, double CpuMs, double ElapsedMs)
{
    /// <summary>The counters of a replica that has done nothing.</summary>
    public static ReplicaCounters None { get; } = new(0, 0, 0, 0, 0);
}

/// <summary>Command to a target host: prepare a paused shell for this replica, tagged with operation, replica and epoch.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">Number of the replica.</param>
/// <param name="Epoch">Ownership epoch that the operation was opened in; anything older is refused.</param>
/// <param name="Kind">What the replica does.</param>
/// <param name="VmId">The machine.</param>
/// <param name="HostId">The target host, which is the receiver of this command.</param>
/// <param name="SourceHostId">Host that runs the machine; null for a power-on.</param>
/// <param name="Vm">The machine's definition.</param>
/// <param name="OwnershipVersion">Version of <c>vm-{VmId}</c> that a power-on commits at.</param>
/// <param name="Cost">Limits of this replica.</param>
public sealed record StartReplica(
    Guid OperationId,
    int Replica,
    int Epoch,
    OperationKind Kind,
    string VmId,
    string HostId,
    string? SourceHostId,
    VmDefinition Vm,
    long OwnershipVersion,
    CostLimits Cost);

/// <summary>Command to the source host: open a migration stream to this replica and copy the machine to it.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">Number of the replica.</param>
/// <param name="Epoch">Ownership epoch that the operation was opened in.</param>
/// <param name="VmId">The machine.</param>
/// <param name="SourceHostId">The receiver of this command.</param>
/// <param name="TargetHostId">Where the replica runs.</param>
/// <param name="DataEndpoint"><c>address:port</c> where the target's agent listens for migration streams.</param>
/// <param name="OwnershipVersion">Version of <c>vm-{VmId}</c> after the operation was opened: the first vote is given at it.</param>
/// <param name="Cost">Limits of this replica.</param>
/// <param name="MemoryBytes">Memory of the machine, which the replica holds on its target; 0: not told, and nothing is judged by it.</param>
public sealed record ConnectReplica(
    Guid OperationId,
    int Replica,
    int Epoch,
    string VmId,
    string SourceHostId,
    string TargetHostId,
    string DataEndpoint,
    long OwnershipVersion,
    CostLimits Cost,
    long MemoryBytes = 0);

/// <summary>Command to a target and to the source: end this replica, unless its own commit has already succeeded.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">Number of the replica.</param>
/// <param name="Epoch">Ownership epoch that the operation was opened in.</param>
/// <param name="VmId">The machine.</param>
/// <param name="HostId">The receiver of this command.</param>
/// <param name="Outcome">How the replica ends: aborted by a policy, cancelled by the caller, or failed.</param>
/// <param name="Reason">Why.</param>
public sealed record AbortReplica(Guid OperationId, int Replica, int Epoch, string VmId, string HostId, ReplicaOutcome Outcome, Reason Reason);

/// <summary>Command to a target whose source is confirmed dead: commit the complete image that you hold. It stands in for the source's vote.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">Number of the replica.</param>
/// <param name="Epoch">Ownership epoch that the operation was opened in.</param>
/// <param name="VmId">The machine.</param>
/// <param name="HostId">The receiver of this command.</param>
/// <param name="OwnershipVersion">Version of <c>vm-{VmId}</c> to commit at: right after <see cref="OwnerFenced"/>.</param>
/// <param name="Incarnation">Incarnation of the image.</param>
public sealed record CommitReplica(Guid OperationId, int Replica, int Epoch, string VmId, string HostId, long OwnershipVersion, int Incarnation);

/// <summary>Command to the source host: the operation has ended; obey the ownership event stream (destroy the copy, or go on running it) and say so.</summary>
public sealed record ReleaseSource(Guid OperationId, int Epoch, string VmId, string HostId);

/// <summary>Command to the winner's host, when nobody has heard of the winner since its commit: say again that the guest runs.</summary>
public sealed record ConfirmReplica(Guid OperationId, int Replica, string VmId, string HostId);

/// <summary>Event: the target host has a paused shell and listens.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">Number of the replica.</param>
/// <param name="Epoch">Ownership epoch of the operation.</param>
/// <param name="HostId">Target host.</param>
/// <param name="DataEndpoint"><c>address:port</c> for the migration stream; null for a power-on.</param>
public sealed record ReplicaStarted(Guid OperationId, int Replica, int Epoch, string HostId, string? DataEndpoint);

/// <summary>Event: one pre-copy pass over the replica's pending pages is sent and acknowledged.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">Number of the replica.</param>
/// <param name="HostId">Target host.</param>
/// <param name="Round">Number of the round, from 1.</param>
/// <param name="Final">True for the pass over the last pages, with the guest suspended.</param>
/// <param name="PagesSent">4 KiB pages sent in this round, zero pages included.</param>
/// <param name="ZeroPages">How many of them were all zero and travelled as a mark.</param>
/// <param name="BytesSent">Bytes on the migration stream in this round.</param>
/// <param name="DurationMs">Milliseconds from the first byte to the acknowledgement.</param>
/// <param name="DirtyPagesPerSecond">Pages that the guest dirtied per second during the round.</param>
/// <param name="PendingPages">Pages that remain to be sent to this replica after the round.</param>
/// <param name="AcknowledgedBytesPerSecond">Rate at which the target acknowledged.</param>
/// <param name="At">When the round ended, by the source's clock.</param>
public sealed record ReplicaRoundCompleted(
    Guid OperationId,
    int Replica,
    string HostId,
    int Round,
    bool Final,
    long PagesSent,
    long ZeroPages,
    long BytesSent,
    double DurationMs,
    double DirtyPagesPerSecond,
    long PendingPages,
    double AcknowledgedBytesPerSecond,
    DateTimeOffset At);

/// <summary>Report of a source: rounds that ended within 100 ms of each other, at most 32, so that they are appended together.</summary>
public sealed record ReplicaRoundsReported(Guid OperationId, int Epoch, IReadOnlyList<ReplicaRoundCompleted> Rounds);

/// <summary>Report of a source, a few times per second while a round runs: for a live view, not recorded.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">Number of the replica.</param>
/// <param name="HostId">Target host.</param>
/// <param name="Round">Number of the round that runs, from 1.</param>
/// <param name="PagesSent">Pages sent since the replica's start.</param>
/// <param name="BytesSent">Bytes sent since the replica's start.</param>
/// <param name="PendingPages">Pages still to be sent.</param>
/// <param name="AcknowledgedBytesPerSecond">Rate at which the target acknowledges.</param>
public sealed record ReplicaProgressed(
    Guid OperationId,
    int Replica,
    string HostId,
    int Round,
    long PagesSent,
    long BytesSent,
    long PendingPages,
    double AcknowledgedBytesPerSecond);

/// <summary>Event: the target has every page of this incarnation, verified, and waits for a vote.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">Number of the replica.</param>
/// <param name="Epoch">Ownership epoch of the operation.</param>
/// <param name="HostId">Target host.</param>
/// <param name="Incarnation">How often the source had resumed the guest during the operation when the image was taken.</param>
/// <param name="Digest">Digest of the image, 16 hexadecimal digits.</param>
/// <param name="OwnershipVersion">Version of <c>vm-{VmId}</c> that the source held when it sent the last pages; the image is void once the owner has refused after it.</param>
public sealed record ReplicaReady(Guid OperationId, int Replica, int Epoch, string HostId, int Incarnation, string Digest, long OwnershipVersion = 0);

/// <summary>Event: this replica's commit made its host the owner.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">Number of the replica.</param>
/// <param name="HostId">The new owner.</param>
/// <param name="Epoch">The new epoch.</param>
/// <param name="Reason">Why this one.</param>
public sealed record ReplicaCommitted(Guid OperationId, int Replica, string HostId, int Epoch, Reason Reason);

/// <summary>Event: a policy ended the replica.</summary>
public sealed record ReplicaAborted(Guid OperationId, int Replica, int Epoch, string HostId, Reason Reason, ReplicaCounters Counters);

/// <summary>Event: a fault ended the replica.</summary>
public sealed record ReplicaFailed(Guid OperationId, int Replica, int Epoch, string HostId, Reason Reason, ReplicaCounters Counters);

/// <summary>Event: the caller ended the replica.</summary>
public sealed record ReplicaCancelled(Guid OperationId, int Replica, int Epoch, string HostId, Reason Reason, ReplicaCounters Counters);

/// <summary>Event: the guest runs on the winner.</summary>
public sealed record ReplicaResumed(Guid OperationId, int Replica, string HostId, DateTimeOffset At);

/// <summary>Event: the winner's guest ended before it was heard to run; its host holds nothing of it.</summary>
public sealed record WinnerLost(Guid OperationId, int Replica, string HostId, Reason Reason);

/// <summary>Event: this replica's shell and memory are gone from its host.</summary>
public sealed record ReplicaCleaned(Guid OperationId, int Replica, string HostId);

/// <summary>Event: the source holds nothing for the operation any more.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="HostId">Source host.</param>
/// <param name="Destroyed">True when its copy was destroyed after a transfer; false when it runs the guest on.</param>
/// <param name="DowntimeMs">Milliseconds that the guest stood still in all, as the source measured them.</param>
/// <param name="Counters">Counters of every replica, in the order of <paramref name="Replicas"/>.</param>
/// <param name="Replicas">Numbers of the replicas.</param>
public sealed record SourceReleased(
    Guid OperationId,
    string HostId,
    bool Destroyed,
    double DowntimeMs,
    IReadOnlyList<int> Replicas,
    IReadOnlyList<ReplicaCounters> Counters);
