using System.Text.Json.Serialization;

namespace SpecMesh.Contracts;

/// <summary>Command: pick hosts and reserve memory on them, as leases.</summary>
/// <param name="OperationId">The operation that the reservations belong to.</param>
/// <param name="Request">Number of this request within the operation, from 0; asked again, it is answered as before.</param>
/// <param name="Count">How many hosts.</param>
/// <param name="Allowed">Hosts that may be chosen; empty: any.</param>
/// <param name="Excluded">Hosts that must not be chosen: the source, and those tried before.</param>
/// <param name="MemoryBytes">Memory to reserve on each.</param>
/// <param name="TargetChoice">Name of the policy.</param>
/// <param name="AcceptFewer">True when fewer hosts than asked for are better than none.</param>
/// <param name="LeaseUntil">When the reservations lapse, unless the operation still runs then.</param>
/// <param name="Replication">Where a policy chooses the number: as many hosts as it takes, up to <paramref name="Count"/>. Absent: <paramref name="Count"/> hosts.</param>
public sealed record SelectTargets(
    Guid OperationId,
    int Request,
    int Count,
    IReadOnlyList<string> Allowed,
    IReadOnlyList<string> Excluded,
    long MemoryBytes,
    string TargetChoice,
    bool AcceptFewer,
    DateTimeOffset LeaseUntil,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ReplicationWish? Replication = null);

/// <summary>Event: these hosts are reserved for the operation.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Request">Number of the request.</param>
/// <param name="HostIds">The hosts, in the order of their ids.</param>
/// <param name="Reason">Why these, and so many.</param>
/// <param name="Verdicts">What each policy said about the number; absent where none had a say.</param>
public sealed record TargetsReserved(
    Guid OperationId,
    int Request,
    IReadOnlyList<string> HostIds,
    Reason Reason,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<Reason>? Verdicts = null);

/// <summary>Event: no fitting hosts; nothing is reserved by this request.</summary>
public sealed record TargetsRefused(Guid OperationId, int Request, Reason Reason);

/// <summary>Command: end the operation's reservations on these hosts. Idempotent.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="HostIds">Hosts whose reservation ends.</param>
public sealed record ReleaseTargets(Guid OperationId, IReadOnlyList<string> HostIds);

/// <summary>Command: take a host out of service for new replicas, or back into it.</summary>
public sealed record SetHostMaintenance(string HostId, bool InMaintenance, string? RequestedBy = null);

/// <summary>Event in <c>host-{HostId}</c>: the host is known, with this capacity. Appended again when the capacity changes.</summary>
/// <param name="HostId">The host.</param>
/// <param name="FailureDomain">What it shares its faults with: a rack, a room.</param>
/// <param name="MemoryBytes">Memory for guests.</param>
public sealed record HostRegistered(string HostId, string FailureDomain, long MemoryBytes);

/// <summary>Event in <c>host-{HostId}</c>: memory is held for a replica until the lease lapses.</summary>
public sealed record HostReserved(string HostId, Guid OperationId, int Request, long MemoryBytes, DateTimeOffset LeaseUntil);

/// <summary>Event in <c>host-{HostId}</c>: the reservation is gone.</summary>
public sealed record ReservationReleased(string HostId, Guid OperationId, Reason Reason);

/// <summary>Event in <c>host-{HostId}</c>: a machine lives here, and its memory with it.</summary>
public sealed record VmAllocated(string HostId, string VmId, long MemoryBytes);

/// <summary>Event in <c>host-{HostId}</c>: the machine has gone.</summary>
public sealed record VmDeallocated(string HostId, string VmId);

/// <summary>Event in <c>host-{HostId}</c>: maintenance began or ended.</summary>
public sealed record HostMaintenanceChanged(string HostId, bool InMaintenance, string? RequestedBy);

/// <summary>Event in <c>speculation-cluster</c>: so many replicas were granted to an operation. Recorded where a policy chose the number, or the cluster has a budget.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Request">Number of its request for hosts.</param>
/// <param name="WantedReplicas">Replicas that were wanted and had a host, before the budget was asked.</param>
/// <param name="Replicas">Replicas that were granted, one that probes a host included.</param>
/// <param name="Kind">Operations of the same kind are compared, so that their number does not swing; null: not compared.</param>
/// <param name="BudgetReplicas">What is left in the cluster's budget for speculative replicas, below 0 for a debt; null: no budget.</param>
/// <param name="ProbedHostId">An avoided host that one of the replicas tries again; null: none.</param>
/// <param name="Verdicts">What each policy said.</param>
/// <param name="At">When it was decided, by placement's clock.</param>
public sealed record SpeculationDecided(
    Guid OperationId,
    int Request,
    int WantedReplicas,
    int Replicas,
    string? Kind,
    double? BudgetReplicas,
    string? ProbedHostId,
    IReadOnlyList<Reason> Verdicts,
    DateTimeOffset At);

/// <summary>Timer: look whether the operation still needs its reservation on the host; release it if not.</summary>
public sealed record ReservationDeadline(string HostId, Guid OperationId);

/// <summary>Command: a host is confirmed dead (powered off, or cut off from its disks), so that what waited for it can go on. Refused while the host is being heard.</summary>
/// <param name="HostId">The host.</param>
/// <param name="RequestedBy">Who confirms it.</param>
public sealed record FenceHost(string HostId, string? RequestedBy = null);

/// <summary>Event in <c>host-{HostId}</c>: the host is confirmed dead. It gets no replicas until its maintenance is ended.</summary>
/// <param name="HostId">The host.</param>
/// <param name="By">Who confirmed it.</param>
/// <param name="Reason">What it was known by.</param>
public sealed record HostFenced(string HostId, string By, Reason Reason);

/// <summary>Command to a host: compare the guests on it with the event streams now, and put right what is provably wrong.</summary>
/// <param name="HostId">The host.</param>
/// <param name="NothingUnknown">True when an operator has looked and vouches for it that no guest runs there that the agent does not find: an agent whose state directory is new
/// cannot know that.</param>
public sealed record ReconcileHost(string HostId, bool NothingUnknown = false);

/// <summary>Timer: look again for what a fenced host still owns or holds.</summary>
/// <param name="HostId">The host.</param>
/// <param name="By">Who confirmed its death.</param>
/// <param name="Attempt">How often was looked before.</param>
public sealed record FenceDeadline(string HostId, string By, int Attempt);

/// <summary>Timer: decide what becomes of a machine whose owner is fenced.</summary>
/// <param name="VmId">The machine.</param>
/// <param name="HostId">The fenced owner.</param>
/// <param name="By">Who confirmed its death.</param>
public sealed record FenceMachine(string VmId, string HostId, string By);
