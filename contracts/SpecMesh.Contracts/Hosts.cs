using System.Text.Json.Serialization;

namespace SpecMesh.Contracts;

/// <summary>How a guest stands on a host.</summary>
public enum GuestState
{
    /// <summary>Built, not running: a shell that waits for an image or for its commit.</summary>
    Paused,

    /// <summary>Running.</summary>
    Running,

    /// <summary>Stopped by its agent for the last pages of a migration.</summary>
    Suspended,
}

/// <summary>One guest as its host's agent sees it.</summary>
public sealed record HostedGuest(string VmId, GuestState State, long MemoryBytes, Guid? OperationId, int? Replica);

/// <summary>Event: the host's agent is alive.</summary>
/// <param name="HostId">The host.</param>
/// <param name="FailureDomain">What it shares its faults with.</param>
/// <param name="MemoryBytes">Memory for guests.</param>
/// <param name="DataEndpoint"><c>address:port</c> for migration streams.</param>
/// <param name="Hypervisor">Name of the driver.</param>
/// <param name="DirtyTracker">Name of the dirty tracker that passed the self-test; null: the host cannot be a migration source.</param>
/// <param name="Guests">Guests on the host.</param>
/// <param name="Sequence">Counts the beats of this agent process, from 1.</param>
/// <param name="At">By the host's clock.</param>
public sealed record HostHeartbeat(
    string HostId,
    string FailureDomain,
    long MemoryBytes,
    string DataEndpoint,
    string Hypervisor,
    string? DirtyTracker,
    IReadOnlyList<HostedGuest> Guests,
    long Sequence,
    DateTimeOffset At);

/// <summary>Event in <c>health-{HostId}</c>: the host should get no new replicas.</summary>
public sealed record HostSuspected(string HostId, Reason Reason);

/// <summary>Event in <c>health-{HostId}</c>: the host is trusted again.</summary>
public sealed record HostRecovered(string HostId, Reason Reason);

/// <summary>Event in <c>health-{HostId}</c>: how a replica on this host ended. Losers that a policy ended are not failures and are not counted.</summary>
/// <param name="HostId">The host.</param>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">The replica.</param>
/// <param name="Failed">True when a fault of the host ended it, false when it won.</param>
/// <param name="At">When it was counted: what is long ago says little about now. Absent in what was recorded before estimates were made from it.</param>
public sealed record ReplicaOutcomeCounted(
    string HostId,
    Guid OperationId,
    int Replica,
    bool Failed,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] DateTimeOffset? At = null);

/// <summary>Timer: look whether the host has beaten since.</summary>
/// <param name="HostId">The host.</param>
/// <param name="LastBeatAt">The beat after which this timer was set, by the monitor's clock.</param>
public sealed record HeartbeatDeadline(string HostId, DateTimeOffset LastBeatAt);

/// <summary>What a fault injector breaks on a host.</summary>
public enum FaultKind
{
    /// <summary>Nothing: ends an injected fault.</summary>
    None,

    /// <summary>Break the next migration stream into this host after some bytes.</summary>
    FailTransfer,

    /// <summary>Receive migration streams slowly.</summary>
    ThrottleTransfer,

    /// <summary>Fail to build shells.</summary>
    FailStart,
}

/// <summary>Command to a host: break something, for a demonstration or a test. Refused unless the agent is configured to allow it.</summary>
/// <param name="HostId">The host.</param>
/// <param name="Fault">What breaks.</param>
/// <param name="AfterBytes">For <see cref="FaultKind.FailTransfer"/>: bytes received before the stream breaks.</param>
/// <param name="BytesPerSecond">For <see cref="FaultKind.ThrottleTransfer"/>: the rate.</param>
/// <param name="Until">When the fault ends by itself, by the host's clock, so that it outlives neither its injector nor a wait in the queue; absent: when another command ends it.</param>
public sealed record InjectFault(
    string HostId,
    FaultKind Fault,
    long AfterBytes = 0,
    long BytesPerSecond = 0,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] DateTimeOffset? Until = null);
