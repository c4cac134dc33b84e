using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Placement;

/// <summary>What placement needs to know of a machine: a fold of <c>vm-{id}</c>, which replication-policy writes.</summary>
/// <param name="VmId">The machine.</param>
/// <param name="OwnerHostId">Host that may run it; null when none does.</param>
/// <param name="OwnerOperationId">The operation that made it the owner.</param>
/// <param name="OpenOperationId">The active operation; null when there is none.</param>
public sealed record MachineFacts(string VmId, string? OwnerHostId, Guid? OwnerOperationId, Guid? OpenOperationId)
{
    /// <summary>A machine that nothing is known of.</summary>
    public static MachineFacts Unknown(string vmId) => new(vmId, null, null, null);

    /// <summary>The facts after one more event of <c>vm-{id}</c>.</summary>
    /// <remarks>Another service owns that event stream and adds to it, so events that mean nothing here are passed over.</remarks>
    public static MachineFacts Evolve(MachineFacts facts, object @event) => @event switch
    {
        OperationOpened e => facts with { OpenOperationId = e.OperationId },
        OperationClosed => facts with { OpenOperationId = null },
        OwnershipTransferred e => facts with { OwnerHostId = e.HostId, OwnerOperationId = e.OperationId },
        OwnerFenced { Recovery: { } image } => facts with { OpenOperationId = image.OperationId },
        OwnerFenced or OwnershipReleased => facts with { OwnerHostId = null, OwnerOperationId = null, OpenOperationId = null },
        _ => facts,
    };
}

/// <summary>
/// Makes allocations follow the facts. Operations keep them right by themselves; this is for what no operation tells of: a guest that died, an agent that lost its host's
/// guests, news of an end that never came. Without it such memory would be promised twice, or never again.
/// </summary>
public static class AllocationDecider
{
    /// <summary>Decides about one machine that the host's beats have differed about for <see cref="GuestSightings.Patience"/> beats.</summary>
    /// <param name="host">The host as it is recorded now.</param>
    /// <param name="beat">The last of these beats.</param>
    /// <param name="machine">The machine as it is recorded now. While an operation is open on it, the operation's end says what becomes of its memory.</param>
    public static Decision Decide(HostState host, HostHeartbeat beat, MachineFacts machine)
    {
        if (machine.OpenOperationId is not null)
        {
            return Decision.Nothing;
        }

        bool allocated = host.Allocations.ContainsKey(machine.VmId);
        HostedGuest? running = beat.Guests.FirstOrDefault(guest => guest.VmId == machine.VmId && GuestSightings.IsRunning(guest));
        bool isThere = beat.Guests.Any(guest => guest.VmId == machine.VmId && GuestSightings.IsThere(guest));
        if (allocated && !isThere)
        {
            return new Decision([new VmDeallocated(host.HostId, machine.VmId)], []);
        }

        // The reservation of the operation that brought the machine here becomes its allocation once that operation's end is told; both at once would count twice.
        bool isReserved = machine.OwnerOperationId is { } operation && host.Reservations.ContainsKey(operation);
        return !allocated && !isReserved && running is not null && machine.OwnerHostId == host.HostId
            ? new Decision([new VmAllocated(host.HostId, machine.VmId, running.MemoryBytes)], [])
            : Decision.Nothing;
    }
}
