using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Diagnosis;

/// <summary>What can be done about a finding.</summary>
public enum Remedy
{
    /// <summary>Provably safe: the host compares itself with the event streams, and does only what these say.</summary>
    ReconcileHost,

    /// <summary>A person must look whether the host is dead, and confirm it by fencing. Nothing does that by itself.</summary>
    FenceHost,

    /// <summary>A person must look: nothing recorded says what is right.</summary>
    Person,
}

/// <summary>Something that is not as recorded.</summary>
/// <param name="Code">A stable word in kebab-case.</param>
/// <param name="HostId">The host where it is; null where it is on none.</param>
/// <param name="VmId">The machine; null where it is about none.</param>
/// <param name="OperationId">The operation; null where it is about none.</param>
/// <param name="Detail">A sentence for the operator.</param>
/// <param name="Remedy">What can be done.</param>
public sealed record Finding(string Code, string? HostId, string? VmId, Guid? OperationId, string Detail, Remedy Remedy);

/// <summary>One look at the whole system, through its public views.</summary>
/// <param name="Hosts">All hosts.</param>
/// <param name="Vms">All machines.</param>
/// <param name="Operations">Every operation that a host names or that is not settled; one that is named and not here does not exist.</param>
public sealed record Look(IReadOnlyList<HostView> Hosts, IReadOnlyList<VmView> Vms, IReadOnlyList<OperationView> Operations);

/// <summary>
/// Compares what is on the hosts with what is recorded. The views of one look are from different moments, so only what two looks some seconds apart have in common is a
/// finding (<see cref="InBoth"/>).
/// </summary>
public static class Doctor
{
    /// <summary>Age in seconds from which on a host's beat no longer tells what is on it.</summary>
    public const double FreshBeatSeconds = 5;

    /// <summary>Everything that one look shows.</summary>
    /// <param name="look">The look.</param>
    /// <param name="now">When it was taken, for deadlines.</param>
    public static IReadOnlyList<Finding> Examine(Look look, DateTimeOffset now)
    {
        Dictionary<string, VmView> vms = look.Vms.ToDictionary(vm => vm.VmId, StringComparer.Ordinal);
        Dictionary<Guid, OperationView> operations = look.Operations.ToDictionary(operation => operation.OperationId);
        return
        [
            .. look.Hosts.Where(IsHeard).SelectMany(host => Guests(host, vms, operations)),
            .. look.Vms.SelectMany(vm => Owner(vm, look.Hosts)),
            .. look.Hosts.SelectMany(host => Leases(host, operations)),
            .. look.Operations.SelectMany(operation => Overdue(operation, look.Hosts, now)),
        ];
    }

    /// <summary>What both looks show: what was only under way at one of them is no finding.</summary>
    public static IReadOnlyList<Finding> InBoth(IReadOnlyList<Finding> first, IReadOnlyList<Finding> second) =>
        [.. second.Where(finding => first.Any(earlier => (earlier.Code, earlier.HostId, earlier.VmId, earlier.OperationId) == (finding.Code, finding.HostId, finding.VmId, finding.OperationId)))];

    private static bool IsHeard(HostView host) => host.SecondsSinceBeat <= FreshBeatSeconds;

    /// <summary>A guest that nobody owns, or whose owner is another host.</summary>
    private static IEnumerable<Finding> Guests(HostView host, Dictionary<string, VmView> vms, Dictionary<Guid, OperationView> operations)
    {
        foreach (HostedGuest guest in host.Guests.Where(guest => guest.MemoryBytes > 0))
        {
            if (!vms.TryGetValue(guest.VmId, out VmView? vm))
            {
                yield return new Finding("guest-unknown", host.HostId, guest.VmId, guest.OperationId, $"{host.HostId} has a guest of {guest.VmId}, a machine that no event stream knows.", Remedy.Person);
            }
            else if (guest.State == GuestState.Paused)
            {
                OperationView? of = guest.OperationId is { } id ? operations.GetValueOrDefault(id) : null;
                if (vm.OpenOperationId is null && (of is null || of.Phase == "Settled"))
                {
                    yield return new Finding("shell-without-operation", host.HostId, guest.VmId, guest.OperationId, $"{host.HostId} has a paused shell of {guest.VmId} whose operation is over.", Remedy.ReconcileHost);
                }
            }
            else if (vm.OwnerHostId != host.HostId && vm.OpenOperationId is null)
            {
                yield return new Finding("guest-not-owned", host.HostId, guest.VmId, null, $"{host.HostId} has a guest of {guest.VmId}, which {vm.OwnerHostId ?? "nobody"} owns.", Remedy.ReconcileHost);
            }
        }
    }

    /// <summary>An owner without a guest, or one of which nothing is heard.</summary>
    private static IEnumerable<Finding> Owner(VmView vm, IReadOnlyList<HostView> hosts)
    {
        if (vm.OwnerHostId is not { } ownerId)
        {
            yield break;
        }

        HostView? owner = hosts.FirstOrDefault(host => host.HostId == ownerId);
        if (vm.State == MachineState.Unknown || owner is null || !IsHeard(owner))
        {
            string detail = owner?.Fenced is not null
                ? $"{vm.VmId} is being recovered: {ownerId} is confirmed dead, and a target that may hold its image has not answered yet."
                : $"{vm.VmId} belongs to {ownerId}, of which nothing is heard: whether it runs is unknown.";
            yield return new Finding("machine-unknown", ownerId, vm.VmId, null, detail, owner?.Fenced is null ? Remedy.FenceHost : Remedy.Person);
        }
        else if (vm.OpenOperationId is null && !owner.Guests.Any(guest => guest.VmId == vm.VmId && guest.MemoryBytes > 0))
        {
            yield return new Finding("owner-without-guest", ownerId, vm.VmId, null, $"{ownerId} owns {vm.VmId} and has no guest of it.", Remedy.ReconcileHost);
        }
    }

    /// <summary>Memory that is held for an operation that is over.</summary>
    private static IEnumerable<Finding> Leases(HostView host, Dictionary<Guid, OperationView> operations) =>
        from id in host.Reservations ?? []
        where !operations.TryGetValue(id, out OperationView? operation) || operation.Phase is "Settled" or "Refused"
        select new Finding("lease-without-operation", host.HostId, null, id, $"{host.HostId} holds memory for operation {id}, which is over.", Remedy.ReconcileHost);

    /// <summary>An operation that is past its deadline and has not given everything back.</summary>
    private static IEnumerable<Finding> Overdue(OperationView operation, IReadOnlyList<HostView> hosts, DateTimeOffset now)
    {
        if (operation.Phase is not ("Racing" or "Completed") || operation.DeadlineAt is not { } deadline || deadline > now)
        {
            yield break;
        }

        string[] owing = [.. operation.Replicas.Where(replica => !replica.Cleaned && replica.Replica != operation.WinnerReplica).Select(replica => replica.HostId)
            .Concat(operation is { SourceHostId: { } source, DowntimeMs: null } ? [source] : []).Distinct(StringComparer.Ordinal)];
        foreach (string hostId in owing)
        {
            bool heard = hosts.Any(host => host.HostId == hostId && IsHeard(host));
            yield return new Finding(
                "operation-not-settled", hostId, operation.VmId, operation.OperationId,
                $"Operation {operation.OperationId} of {operation.VmId} waits for {hostId}{(heard ? "" : ", of which nothing is heard")}.", heard ? Remedy.ReconcileHost : Remedy.FenceHost);
        }
    }
}
