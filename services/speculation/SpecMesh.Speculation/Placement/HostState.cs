using System.Collections.Immutable;
using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Placement;

/// <summary>Memory held for one operation on one host.</summary>
/// <param name="Request">Number of the request that it was reserved for.</param>
/// <param name="MemoryBytes">How much.</param>
/// <param name="LeaseUntil">When it is looked at again.</param>
public sealed record Reservation(int Request, long MemoryBytes, DateTimeOffset LeaseUntil);

/// <summary>One request of one operation.</summary>
public readonly record struct RequestKey(Guid OperationId, int Request);

/// <summary>What the event stream <c>host-{id}</c> says: capacity, what lives on the host, what is reserved.</summary>
/// <param name="HostId">The host.</param>
/// <param name="FailureDomain">What it shares its faults with; empty before it is registered.</param>
/// <param name="MemoryBytes">Memory for guests; 0 before it is registered.</param>
/// <param name="InMaintenance">True: no new replicas.</param>
/// <param name="Reservations">By operation: one operation holds a host at most once.</param>
/// <param name="Allocations">Memory in bytes, by machine.</param>
/// <param name="Released">The latest requests whose reservation here is gone, oldest first: a command that comes again is answered, not obeyed twice.</param>
public sealed record HostState(
    string HostId,
    string FailureDomain,
    long MemoryBytes,
    bool InMaintenance,
    ImmutableDictionary<Guid, Reservation> Reservations,
    ImmutableSortedDictionary<string, long> Allocations,
    ImmutableQueue<RequestKey> Released)
{
    /// <summary>How many released requests a host remembers. A repetition that is older than this has outlived its lease by far.</summary>
    public const int RememberedRequests = 256;

    /// <summary>Why the host is taken for dead for good; null unless that was confirmed. It ends with the maintenance that it begins.</summary>
    public Reason? Fenced { get; private init; }

    /// <summary>Bytes held by reservations.</summary>
    public long ReservedBytes { get; private init; }

    /// <summary>Bytes of machines that live here.</summary>
    public long AllocatedBytes { get; private init; }

    /// <summary>Bytes that can be promised; negative when the host shrank below what it holds.</summary>
    public long FreeBytes => MemoryBytes - ReservedBytes - AllocatedBytes;

    /// <summary>True once the host has told its capacity.</summary>
    public bool IsRegistered => MemoryBytes > 0;

    /// <summary>Share of the memory that is taken, from 0; above 1 when the host shrank.</summary>
    public double Load => MemoryBytes > 0 ? (double)(ReservedBytes + AllocatedBytes) / MemoryBytes : 1;

    /// <summary>Bytes that can be promised to an operation: what it holds here already is replaced by a later request of its own, not added to.</summary>
    public long FreeBytesFor(Guid operationId) => FreeBytes + (Reservations.TryGetValue(operationId, out Reservation? held) ? held.MemoryBytes : 0);

    private int ReleasedCount { get; init; }

    /// <summary>A host that nothing is known of.</summary>
    public static HostState Unknown(string hostId) => new(
        hostId,
        string.Empty,
        0,
        false,
        ImmutableDictionary<Guid, Reservation>.Empty,
        ImmutableSortedDictionary.Create<string, long>(StringComparer.Ordinal),
        []);

    /// <summary>True when the request has, or had, a reservation here.</summary>
    public bool Answered(RequestKey key) =>
        (Reservations.TryGetValue(key.OperationId, out Reservation? held) && held.Request == key.Request) || Released.Contains(key);

    /// <summary>The state after one event of <c>host-{id}</c>.</summary>
    /// <exception cref="InvalidOperationException">The event does not belong into a host's event stream.</exception>
    public static HostState Evolve(HostState state, object @event) => @event switch
    {
        HostRegistered e => state with { FailureDomain = e.FailureDomain, MemoryBytes = e.MemoryBytes },
        HostReserved e => state.Reserve(e),
        ReservationReleased e => state.Release(e.OperationId),
        VmAllocated e => state.Allocate(e.VmId, e.MemoryBytes),
        VmDeallocated e => state.Deallocate(e.VmId),
        HostMaintenanceChanged e => state with { InMaintenance = e.InMaintenance, Fenced = e.InMaintenance ? state.Fenced : null },
        HostFenced e => state with { InMaintenance = true, Fenced = e.Reason },
        _ => throw new InvalidOperationException($"{@event.GetType().Name} does not belong into a host's event stream."),
    };

    private HostState Reserve(HostReserved e)
    {
        HostState before = Reservations.TryGetValue(e.OperationId, out Reservation? held) && held.Request != e.Request ? Release(e.OperationId) : this;
        long replaced = before.Reservations.TryGetValue(e.OperationId, out Reservation? extended) ? extended.MemoryBytes : 0;
        return before with
        {
            Reservations = before.Reservations.SetItem(e.OperationId, new Reservation(e.Request, e.MemoryBytes, e.LeaseUntil)),
            ReservedBytes = before.ReservedBytes - replaced + e.MemoryBytes,
        };
    }

    private HostState Release(Guid operationId)
    {
        if (!Reservations.TryGetValue(operationId, out Reservation? held))
        {
            return this;
        }

        ImmutableQueue<RequestKey> released = Released.Enqueue(new RequestKey(operationId, held.Request));
        bool full = ReleasedCount == RememberedRequests;
        return this with
        {
            Reservations = Reservations.Remove(operationId),
            ReservedBytes = ReservedBytes - held.MemoryBytes,
            Released = full ? released.Dequeue() : released,
            ReleasedCount = full ? ReleasedCount : ReleasedCount + 1,
        };
    }

    private HostState Allocate(string vmId, long bytes) => this with
    {
        AllocatedBytes = AllocatedBytes - Allocations.GetValueOrDefault(vmId) + bytes,
        Allocations = Allocations.SetItem(vmId, bytes),
    };

    private HostState Deallocate(string vmId) => this with
    {
        AllocatedBytes = AllocatedBytes - Allocations.GetValueOrDefault(vmId),
        Allocations = Allocations.Remove(vmId),
    };
}
