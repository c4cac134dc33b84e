using SpecMesh.Contracts;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Placement;

/// <summary>Use case: an operator looks at the hosts.</summary>
internal static class ListedHosts
{
    /// <summary><c>GET /v1/hosts</c>: every host that was ever heard of as a <see cref="HostView"/>, ordered by id.</summary>
    public static IResult Get(HostsView view)
    {
        IReadOnlyDictionary<string, Reason> suspected = view.Suspected;
        return Results.Json(
            view.Hosts.Values.Where(loaded => loaded.State.IsRegistered).Select(loaded => Show(loaded.State, suspected.GetValueOrDefault(loaded.State.HostId), view)),
            ContractJson.Options);
    }

    private static HostView Show(HostState host, Reason? suspicion, HostsView view)
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
            host.Fenced);
    }
}
