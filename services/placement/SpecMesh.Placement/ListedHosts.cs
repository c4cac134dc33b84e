using System.Collections.Immutable;
using SpecMesh.Contracts;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Placement;

/// <summary>Use case: an operator looks at the hosts.</summary>
internal static class ListedHosts
{
    /// <summary><c>GET /v1/hosts</c>: every host that was ever heard of as a <see cref="HostView"/>, ordered by id.</summary>
    public static IResult Get(HostsView view, TimeProvider time)
    {
        ImmutableSortedDictionary<string, HostState> hosts = view.Hosts.ToImmutableSortedDictionary(pair => pair.Key, pair => pair.Value.State, StringComparer.Ordinal);
        FleetFailureRates rates = new(Fleet.Empty with { Hosts = hosts, Outcomes = view.Outcomes }, time.GetUtcNow(), EstimationOptions.Default);
        IReadOnlyDictionary<string, Reason> suspected = view.Suspected;
        return Results.Json(
            hosts.Values.Where(host => host.IsRegistered).Select(host => Show(host, suspected.GetValueOrDefault(host.HostId), rates, view)),
            ContractJson.Options);
    }

    private static HostView Show(HostState host, Reason? suspicion, FleetFailureRates rates, HostsView view)
    {
        (HostHeartbeat Message, TimeSpan Age)? beat = view.LastBeat(host.HostId);
        return new HostView(
            host.HostId,
            host.FailureDomain,
            host.MemoryBytes,
            host.AllocatedBytes,
            host.ReservedBytes,
            host.FreeBytes,
            host.InMaintenance,
            suspicion,
            beat?.Age.TotalSeconds,
            beat?.Message.DataEndpoint,
            beat?.Message.Hypervisor,
            beat?.Message.DirtyTracker,
            beat?.Message.Guests ?? [],
            [.. host.Reservations.Keys.Order()],
            host.Fenced,
            Math.Round(rates.Of(host), 4));
    }
}
