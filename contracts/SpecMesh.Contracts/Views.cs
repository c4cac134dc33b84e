using System.Text.Json.Serialization;

namespace SpecMesh.Contracts;

/// <summary>An operation as HTTP shows it.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Kind">What is done; null for a refused request.</param>
/// <param name="VmId">The machine.</param>
/// <param name="Phase">Refused, Racing, Completed or Settled.</param>
/// <param name="Outcome">How it ended; null while it runs.</param>
/// <param name="Reason">Why it ended so, or was refused; null while it runs.</param>
/// <param name="Field">Field of the request that was refused; null otherwise.</param>
/// <param name="SourceHostId">Host that ran the machine before; null for a power-on.</param>
/// <param name="WinnerReplica">The replica that won; null when none has.</param>
/// <param name="WinnerHostId">Host that the winner runs on; null when none has.</param>
/// <param name="Sq">Number of replicas asked for.</param>
/// <param name="Manager">The manager.</param>
/// <param name="TargetChoice">The policy that picked hosts.</param>
/// <param name="DeadlineAt">When the operation as a whole is given up.</param>
/// <param name="DowntimeMs">Milliseconds that the guest stood still; null until the source has let go.</param>
/// <param name="BytesSent">Bytes of all migration streams.</param>
/// <param name="Replicas">All replicas.</param>
/// <param name="Verdicts">Why replicas were planned, each time, and what each policy said about their number; absent in a list of operations.</param>
public sealed record OperationView(
    Guid OperationId,
    OperationKind? Kind,
    string VmId,
    string Phase,
    OperationOutcome? Outcome,
    Reason? Reason,
    string? Field,
    string? SourceHostId,
    int? WinnerReplica,
    string? WinnerHostId,
    int Sq,
    string? Manager,
    string? TargetChoice,
    DateTimeOffset? DeadlineAt,
    double? DowntimeMs,
    long BytesSent,
    IReadOnlyList<ReplicaView> Replicas,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<Reason>? Verdicts = null);

/// <summary>One replica as HTTP shows it.</summary>
/// <param name="Replica">Its number.</param>
/// <param name="HostId">Its host.</param>
/// <param name="Phase">Planned, Started, Ready or Ended.</param>
/// <param name="Outcome">How it ended; null while it runs.</param>
/// <param name="Reason">Why; null while it runs.</param>
/// <param name="Cleaned">True when its shell and memory are gone.</param>
/// <param name="Counters">What it cost.</param>
public sealed record ReplicaView(int Replica, string HostId, string Phase, ReplicaOutcome? Outcome, Reason? Reason, bool Cleaned, ReplicaCounters Counters);

/// <summary>A machine as HTTP shows it.</summary>
/// <param name="VmId">The machine.</param>
/// <param name="Vm">Its definition; null for one that is only known by name.</param>
/// <param name="OwnerHostId">Host that may run it; null when none does.</param>
/// <param name="Epoch">Ownership epoch.</param>
/// <param name="OpenOperationId">The active operation; null when there is none.</param>
/// <param name="State">What is known of it.</param>
/// <param name="StateReason">Why it is unknown; null otherwise.</param>
public sealed record VmView(string VmId, VmDefinition? Vm, string? OwnerHostId, int Epoch, Guid? OpenOperationId, MachineState State = MachineState.Off, Reason? StateReason = null);

/// <summary>What is known of a machine.</summary>
public enum MachineState
{
    /// <summary>No host owns it; it runs nowhere and may be powered on.</summary>
    Off,

    /// <summary>A host owns it and is heard; it runs there, or is on its way between two hosts.</summary>
    Running,

    /// <summary>Nothing is heard of its owner, or the owner is confirmed dead and the machine is being recovered: whether it runs is not known, and it is not started elsewhere.</summary>
    Unknown,
}

/// <summary>Body of <c>POST /v1/hosts/{hostId}/fence</c>: the host is dead (powered off, or cut off from its network and disks).</summary>
/// <param name="Confirm">The host's own name, so that nobody fences by mistake.</param>
public sealed record HostFenceRequest(string? Confirm = null);

/// <summary>Body of <c>POST /v1/hosts/{hostId}/maintenance</c>.</summary>
/// <param name="InMaintenance">True: no new replicas. False: in service again, also after it was fenced.</param>
public sealed record HostMaintenanceRequest(bool? InMaintenance = null);

/// <summary>Body of <c>POST /v1/hosts/{hostId}/reconcile</c>: compare the host with the event streams now.</summary>
/// <param name="NothingUnknown">True when somebody has looked and vouches for it that no guest runs there which the agent does not find.</param>
public sealed record HostReconcileRequest(bool NothingUnknown = false);

/// <summary>Answer to what was asked of a host.</summary>
/// <param name="HostId">The host.</param>
public sealed record HostChanged(string HostId);

/// <summary>Body of <c>POST /v1/operations</c>: a <see cref="SubmitSpecOp"/> whose id the service makes, from the header <c>Idempotency-Key</c> where there is one.</summary>
/// <param name="Kind">What to do; required.</param>
/// <param name="VmId">The machine; required.</param>
/// <param name="Sq">Number of replicas, 1 to 16.</param>
/// <param name="Targets">Hosts that may be chosen.</param>
/// <param name="Cost">Limits for each replica.</param>
/// <param name="TargetChoice">Policy that picks hosts.</param>
/// <param name="Manager">Manager that reacts to failures.</param>
/// <param name="Vm">What a power-on builds.</param>
/// <param name="Replication">How the number of replicas is chosen.</param>
public sealed record OperationRequest(
    OperationKind? Kind,
    string? VmId,
    int? Sq = null,
    IReadOnlyList<string>? Targets = null,
    CostLimits? Cost = null,
    string? TargetChoice = null,
    string? Manager = null,
    VmDefinition? Vm = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ReplicationWish? Replication = null);

/// <summary>Answer to an accepted request.</summary>
/// <param name="OperationId">The operation, also to be found in the header <c>Location</c>.</param>
public sealed record OperationAccepted(Guid OperationId);
