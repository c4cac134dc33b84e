using System.Text.Json.Serialization;

namespace SpecMesh.Contracts;

/// <summary>What is done to the virtual machine.</summary>
public enum OperationKind
{
    /// <summary>Build and start a machine that runs nowhere yet.</summary>
    PowerOn,

    /// <summary>Move a running machine to another host while it runs.</summary>
    Migrate,
}

/// <summary>How an operation ended.</summary>
public enum OperationOutcome
{
    /// <summary>Exactly one replica won.</summary>
    Succeeded,

    /// <summary>No replica won: every one failed or was aborted, or the operation's deadline passed.</summary>
    Failed,

    /// <summary>The caller ended it before a replica won.</summary>
    Cancelled,
}

/// <summary>How one replica ended.</summary>
public enum ReplicaOutcome
{
    /// <summary>Its commit made its host the owner.</summary>
    Won,

    /// <summary>A policy ended it: a cost limit, or it lost the race.</summary>
    Aborted,

    /// <summary>A fault ended it.</summary>
    Failed,

    /// <summary>The caller ended it.</summary>
    Cancelled,
}

/// <summary>Why a decision was taken, in words that an operator understands.</summary>
/// <param name="Code">A stable word in kebab-case, for programs: <c>lost-the-race</c>, <c>timeout</c>.</param>
/// <param name="Detail">A sentence, for people.</param>
/// <param name="Observed">The value that was compared, where one was.</param>
/// <param name="Limit">What it was compared with, in the same unit.</param>
public sealed record Reason(string Code, string Detail, double? Observed = null, double? Limit = null);

/// <summary>What an operation and each of its replicas may cost before a policy aborts a replica. An absent limit does not act. A replica that has its vote is never aborted.</summary>
/// <param name="TimeoutSeconds">Seconds from the replica's start to its commit; above 0 and at most 86 400.</param>
/// <param name="MaxBytes">Bytes of one replica's migration stream; above 0.</param>
/// <param name="MaxCpuSeconds">Processor seconds of one replica at the source; above 0.</param>
/// <param name="MaxMemoryGibSeconds">Memory of one replica on its target times how long it is held, in GiB·s; above 0.</param>
/// <param name="MaxOperationBytes">Bytes of all migration streams of the operation; above 0. Beyond it the replica that is expected to end last is aborted, one per second.</param>
/// <param name="MaxOperationCpuSeconds">Processor seconds of all replicas at the source; above 0.</param>
/// <param name="MaxOperationMemoryGibSeconds">Memory on all targets times how long it is held, in GiB·s; above 0.</param>
/// <param name="MinProgress">Share of its siblings' median rate that a replica must reach, above 0 and below 1. Given, it also ends replicas that are expected to end far later than the best
/// sibling, and those that do not converge while a sibling does.</param>
/// <param name="AbortLast">True: the last live replica may be aborted too; absent or false: it is kept.</param>
public sealed record CostLimits(
    double? TimeoutSeconds = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] long? MaxBytes = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? MaxCpuSeconds = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? MaxMemoryGibSeconds = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] long? MaxOperationBytes = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? MaxOperationCpuSeconds = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? MaxOperationMemoryGibSeconds = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? MinProgress = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] bool? AbortLast = null);

/// <summary>How the number of replicas is chosen, and when they start.</summary>
/// <param name="Policy">Name of the policy: <c>fixed</c> (as many as asked for, all at once), <c>adaptive</c> (the fewest that are expected to reach <paramref name="Epsilon"/>),
/// <c>hedged</c> (one after the other, <paramref name="HedgeDelaySeconds"/> apart).</param>
/// <param name="Epsilon">For <c>adaptive</c>: share of operations that may fail, above 0 and below 1; absent: 0.01.</param>
/// <param name="MaxReplicas">For <c>adaptive</c>: no more than so many, 1 to 16; absent: 5, or as many as there are targets.</param>
/// <param name="HedgeDelaySeconds">For <c>hedged</c>: seconds between two starts, above 0 and at most 86 400; absent: what the operation normally takes on a slow network.</param>
public sealed record ReplicationWish(string Policy, double? Epsilon = null, int? MaxReplicas = null, double? HedgeDelaySeconds = null);

/// <summary>The machine that a power-on builds.</summary>
/// <param name="MemoryBytes">Guest memory in bytes: a multiple of 4096, from 1 MiB to 1 TiB.</param>
/// <param name="WritePagesPerSecond">How many 4 KiB pages a self-verifying process guest rewrites per second; 0 or more. Other hypervisors ignore it.</param>
/// <param name="Seed">Seed of a self-verifying process guest's pages. Other hypervisors ignore it.</param>
public sealed record VmDefinition(long MemoryBytes, double WritePagesPerSecond = 0, ulong Seed = 0);

/// <summary>Command: run one operation as <paramref name="Sq"/> replicas, of which exactly one wins.</summary>
/// <param name="OperationId">Chosen by the caller; it is the idempotency key: the same id with the same content is the same operation.</param>
/// <param name="Kind">What to do.</param>
/// <param name="VmId">The machine: 1 to 63 of <c>a-z 0-9 -</c>, beginning with a letter or digit.</param>
/// <param name="Sq">Number of replicas, 1 to 16; absent: as many as <paramref name="Targets"/>, else 1.</param>
/// <param name="Targets">Hosts that may be chosen, each once, at most 64; absent: any host. An empty list is refused.</param>
/// <param name="Cost">Limits for each replica; absent: defaults.</param>
/// <param name="TargetChoice">Name of the policy that picks hosts: <c>random</c>, <c>least-loaded</c>, <c>failure-domains-apart</c>.</param>
/// <param name="Manager">Name of the manager: <c>speculative</c>, <c>retry-same-server</c>, <c>retry-repick</c>.</param>
/// <param name="Vm">What to build; needed for a power-on of a machine not defined before, refused otherwise.</param>
/// <param name="RequestedBy">Who asks, for the record.</param>
/// <param name="Replication">How the number of replicas is chosen; absent: <paramref name="Sq"/>, all at once.</param>
public sealed record SubmitSpecOp(
    Guid OperationId,
    OperationKind Kind,
    string VmId,
    int? Sq = null,
    IReadOnlyList<string>? Targets = null,
    CostLimits? Cost = null,
    string? TargetChoice = null,
    string? Manager = null,
    VmDefinition? Vm = null,
    string? RequestedBy = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ReplicationWish? Replication = null);

/// <summary>Command: end the operation unless a replica has already won. Idempotent in every state.</summary>
public sealed record CancelSpecOp(Guid OperationId, string? RequestedBy = null);

/// <summary>Event: the operation is open, and no other may touch the machine until it ends.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Kind">What is done.</param>
/// <param name="VmId">The machine.</param>
/// <param name="Sq">Number of replicas; where a policy chooses it, the most there may be.</param>
/// <param name="Targets">Hosts that the caller allows; empty: any.</param>
/// <param name="Cost">Limits for each replica.</param>
/// <param name="TargetChoice">Policy that picks hosts.</param>
/// <param name="Manager">Manager that reacts to failures.</param>
/// <param name="Vm">The machine's definition.</param>
/// <param name="SourceHostId">Host that runs the machine; null for a power-on.</param>
/// <param name="Epoch">Ownership epoch before the operation; the winner commits with <c>Epoch + 1</c>.</param>
/// <param name="OwnershipVersion">Version of the event stream <c>vm-{VmId}</c> after the operation was opened.</param>
/// <param name="DeadlineAt">When the operation as a whole is given up.</param>
/// <param name="Fingerprint">Digest of the caller's wishes, to tell a repeated request from another one with the same id.</param>
/// <param name="RequestedBy">Who asked.</param>
/// <param name="Replication">How the number of replicas is chosen, with every default filled in; absent: <paramref name="Sq"/>, all at once.</param>
public sealed record SpecOpAccepted(
    Guid OperationId,
    OperationKind Kind,
    string VmId,
    int Sq,
    IReadOnlyList<string> Targets,
    CostLimits Cost,
    string TargetChoice,
    string Manager,
    VmDefinition Vm,
    string? SourceHostId,
    int Epoch,
    long OwnershipVersion,
    DateTimeOffset DeadlineAt,
    string Fingerprint,
    string? RequestedBy,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ReplicationWish? Replication = null);

/// <summary>Event: the operation never started.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="VmId">The machine that was asked for.</param>
/// <param name="Field">The field of the request that is wrong, as its JSON path: <c>targets[1]</c>.</param>
/// <param name="Reason">Why.</param>
public sealed record SpecOpRefused(Guid OperationId, string VmId, string Field, Reason Reason);

/// <summary>Event: somebody asked for the operation's end.</summary>
public sealed record CancelRequested(Guid OperationId, string? RequestedBy);

/// <summary>One replica and the host it runs on.</summary>
/// <param name="Replica">Number of the replica in the operation, from 0. A retry is a replica of its own.</param>
/// <param name="HostId">Target host.</param>
public sealed record PlannedReplica(int Replica, string HostId);

/// <summary>Event: these replicas are to run, on hosts whose memory is reserved.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replicas">The replicas that start now.</param>
/// <param name="Reason">Why these.</param>
/// <param name="WaitingHostIds">Hosts that are reserved for replicas that start later, in their order; absent: none.</param>
/// <param name="Verdicts">What each policy said about the number; absent where none had a say.</param>
public sealed record ReplicasPlanned(
    Guid OperationId,
    IReadOnlyList<PlannedReplica> Replicas,
    Reason Reason,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? WaitingHostIds = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<Reason>? Verdicts = null);

/// <summary>Event: the operation has its outcome. What the losers hold is still being cleaned up.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="VmId">The machine.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="WinnerReplica">Number of the replica that won; null when none did.</param>
/// <param name="WinnerHostId">Host that runs the machine now; null when no replica won.</param>
/// <param name="SourceHostId">Host that ran it before; null for a power-on.</param>
/// <param name="Reason">Why it ended so.</param>
public sealed record SpecOpCompleted(
    Guid OperationId,
    string VmId,
    OperationOutcome Outcome,
    int? WinnerReplica,
    string? WinnerHostId,
    string? SourceHostId,
    Reason Reason);

/// <summary>Event: every loser's shell, memory and reservation is gone and the source is released. The last event of every operation.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="BytesSent">Bytes of all migration streams of the operation.</param>
/// <param name="DowntimeMs">Milliseconds that the guest stood still, measured by the source; null where there was no source.</param>
public sealed record SpecOpSettled(Guid OperationId, long BytesSent, double? DowntimeMs);

/// <summary>Command: a host is confirmed dead; give up what the operation waits for there.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="HostId">The dead host.</param>
/// <param name="By">Who confirmed it.</param>
public sealed record FenceOperation(Guid OperationId, string HostId, string By);

/// <summary>Event: a host is confirmed dead. Its replicas of the operation count as gone, its source as released, and a winner there is no longer waited for.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="HostId">The dead host.</param>
/// <param name="Reason">Who confirmed it.</param>
public sealed record OperationHostFenced(Guid OperationId, string HostId, Reason Reason);

/// <summary>Event: an operation that had ended without a winner has given the machine its image, because the source is confirmed dead. The outcome stays what it was.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">The replica whose image runs.</param>
/// <param name="HostId">Its host, which is the owner now.</param>
/// <param name="Epoch">The new epoch.</param>
/// <param name="Reason">Why.</param>
public sealed record MachineRecovered(Guid OperationId, int Replica, string HostId, int Epoch, Reason Reason);

/// <summary>Timer: the operation as a whole has had its time.</summary>
public sealed record SpecOpDeadline(Guid OperationId);

/// <summary>Timer: look again at what the ended operation's replicas still hold.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Attempt">How often the clean-up was asked for already.</param>
public sealed record CleanupDeadline(Guid OperationId, int Attempt);

/// <summary>Timer: a manager that retries has waited long enough.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">The replica that failed.</param>
public sealed record RetryDeadline(Guid OperationId, int Replica);

/// <summary>Timer: by now so many replicas of a hedged operation should run.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">The replica that starts now, unless it has, and every one before it.</param>
public sealed record HedgeDeadline(Guid OperationId, int Replica);

/// <summary>Timer: a replica should have started by now; for a power-on, it should also have been built.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">The replica.</param>
public sealed record ReplicaDeadline(Guid OperationId, int Replica);
