using System.Collections.Immutable;
using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Placement;

/// <summary>
/// How reservations end. The reservation itself is the permission: whoever finds it gone has nothing to do, so everything may come twice and in any order.
/// A reservation on the host of the winner always becomes the machine's allocation; it is never just dropped.
/// </summary>
public static class ReservationDecider
{
    /// <summary>How long a lease is extended while its operation goes on.</summary>
    public static readonly TimeSpan LeaseExtension = TimeSpan.FromMinutes(1);

    /// <summary>
    /// The operation gives hosts back. While it runs, a host that it has gone back to is kept: the command was meant for the replica before, and came late.
    /// </summary>
    public static PlacementDecision Decide(Fleet fleet, ReleaseTargets command, OperationFacts operation) => ReleaseOn(
        Holders(fleet, operation).Where(host => command.HostIds.Contains(host.HostId, StringComparer.Ordinal) && !IsInUse(host, operation)),
        operation,
        new Reason("released", "The operation gave the host back."));

    /// <summary>A replica's memory is gone from its host. While the operation runs it may want the host again and says so itself, so only an ended operation makes this a release.</summary>
    public static PlacementDecision Decide(Fleet fleet, ReplicaCleaned message, OperationFacts operation)
    {
        OperationFacts after = OperationFacts.Evolve(operation, message);
        return after.Standing is OperationStanding.Completed or OperationStanding.Settled
            ? ReleaseOn(
                Holders(fleet, after).Where(host => host.HostId == message.HostId && !after.HasReplicaOn(host.HostId)),
                after,
                new Reason("cleaned", $"Replica {message.Replica} has left the host."))
            : PlacementDecision.Nothing;
    }

    /// <summary>
    /// The operation has its outcome, or everything of it is cleaned up. The winner's reservation becomes its allocation at once; the others end with the clean-up,
    /// and so does the allocation on the source when the machine belongs to another host.
    /// </summary>
    /// <param name="fleet">All hosts.</param>
    /// <param name="operation">The operation, completed or settled; otherwise nothing happens.</param>
    /// <param name="ownerHostId">Host that owns the machine now, by <c>vm-{id}</c>: an old operation that is told again must not take the memory of a machine that has returned.</param>
    public static PlacementDecision DecideEnd(Fleet fleet, OperationFacts operation, string? ownerHostId)
    {
        if (operation.Standing is not (OperationStanding.Completed or OperationStanding.Settled))
        {
            return PlacementDecision.Nothing;
        }

        bool settled = operation.Standing == OperationStanding.Settled;
        PlacementDecision released = ReleaseOn(
            Holders(fleet, operation).Where(host => settled || host.HostId == operation.WinnerHostId), operation, new Reason("settled", "The operation is over."));
        return settled ? WithSourceFreed(fleet, operation, ownerHostId, released) : released;
    }

    /// <summary>A lease has lapsed: the reservation goes when the operation is over or unknown, and is extended while it goes on.</summary>
    public static PlacementDecision Decide(Fleet fleet, ReservationDeadline deadline, OperationFacts operation, DateTimeOffset now)
    {
        if (!fleet.Hosts.TryGetValue(deadline.HostId, out HostState? host) || !host.Reservations.TryGetValue(deadline.OperationId, out Reservation? held))
        {
            return PlacementDecision.Nothing;
        }

        if (now < held.LeaseUntil && operation.Standing != OperationStanding.Settled)
        {
            // The lease was extended meanwhile, or clocks differ; without another look it would leak.
            return PlacementDecision.Nothing with { Effects = [new Effect(deadline, DueAt: held.LeaseUntil)] };
        }

        if (operation.Standing is OperationStanding.Running or OperationStanding.Completed)
        {
            DateTimeOffset until = now + LeaseExtension;
            HostReserved extended = new(host.HostId, deadline.OperationId, held.Request, held.MemoryBytes, until);
            return new PlacementDecision(
                ImmutableSortedDictionary<string, IReadOnlyList<object>>.Empty.Add(host.HostId, [extended]),
                [new Effect(deadline, DueAt: until)]);
        }

        string detail = operation.Standing == OperationStanding.Settled ? "The lease has lapsed and the operation is over." : "The lease has lapsed and no such operation was accepted.";
        return ReleaseOn([host], operation, new Reason("lease-lapsed", detail));
    }

    private static IEnumerable<HostState> Holders(Fleet fleet, OperationFacts operation) =>
        fleet.Hosts.Values.Where(host => host.Reservations.ContainsKey(operation.OperationId));

    private static bool IsInUse(HostState host, OperationFacts operation) =>
        operation.Standing == OperationStanding.Running
        && (operation.HasReplicaOn(host.HostId) || host.Reservations[operation.OperationId].Request >= operation.AnsweredRequests);

    private static PlacementDecision ReleaseOn(IEnumerable<HostState> hosts, OperationFacts operation, Reason reason) => new(
        hosts.ToImmutableSortedDictionary(host => host.HostId, host => Release(host, operation, reason), StringComparer.Ordinal),
        []);

    private static IReadOnlyList<object> Release(HostState host, OperationFacts operation, Reason reason) =>
        host.HostId == operation.WinnerHostId && operation.VmId is { } vmId
            ?
            [
                new VmAllocated(host.HostId, vmId, host.Reservations[operation.OperationId].MemoryBytes),
                new ReservationReleased(host.HostId, operation.OperationId, new Reason("won", $"{vmId} lives here now.")),
            ]
            : [new ReservationReleased(host.HostId, operation.OperationId, reason)];

    private static PlacementDecision WithSourceFreed(Fleet fleet, OperationFacts operation, string? ownerHostId, PlacementDecision decision)
    {
        string? sourceId = operation.SourceHostId;
        bool left = operation is { WinnerHostId: not null, VmId: not null } && sourceId is not null && sourceId != operation.WinnerHostId && sourceId != ownerHostId;
        if (!left || !fleet.Hosts.TryGetValue(sourceId!, out HostState? source) || !source.Allocations.ContainsKey(operation.VmId!))
        {
            return decision;
        }

        IReadOnlyList<object> already = decision.EventsByHost.TryGetValue(sourceId!, out IReadOnlyList<object>? events) ? events : [];
        return decision with
        {
            EventsByHost = decision.EventsByHost.ToImmutableSortedDictionary(StringComparer.Ordinal)
                .SetItem(sourceId!, [.. already, new VmDeallocated(sourceId!, operation.VmId!)]),
        };
    }
}
