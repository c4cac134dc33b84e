using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Speculation.Health;

namespace SpecMesh.FailureMonitor;

/// <summary>
/// When each host was last heard, in memory and by the monotonic clock. Beats are not recorded: a fleet's beats would be most of what the store holds, and after a restart
/// every known host gets the grace of one limit instead.
/// </summary>
internal sealed class HostWatch(TimeProvider time)
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, WatchedHost> hosts = new(StringComparer.Ordinal);

    /// <summary>Takes in one stored event: a host that was registered is known and watched, and the fold of its health tells whether it is suspected.</summary>
    public void Apply(StoredEvent stored)
    {
        lock (gate)
        {
            if (stored.StreamId.StartsWith(EventStreams.HostPrefix, StringComparison.Ordinal) && stored.Data is HostRegistered registered)
            {
                Of(registered.HostId);
            }
            else if (stored.StreamId.StartsWith(EventStreams.HealthPrefix, StringComparison.Ordinal))
            {
                WatchedHost host = Of(stored.StreamId[EventStreams.HealthPrefix.Length..]);
                host.Health = HealthState.Evolve(host.Health, stored.Data);
            }
        }
    }

    /// <summary>Notes a beat.</summary>
    /// <returns>What was heard, and whether the host was suspected as far as this process has read.</returns>
    public (BeatHeard Beat, bool WasSuspected) Heard(string hostId)
    {
        lock (gate)
        {
            WatchedHost host = Of(hostId);
            TimeSpan? before = host.HeardAt is { } last ? time.GetElapsedTime(last) : null;
            host.HeardAt = time.GetTimestamp();
            host.HeardAtTime = time.GetUtcNow();
            return (new BeatHeard(hostId, before), host.Health.Suspicion is not null);
        }
    }

    /// <summary>The silence of a host now; that since it is watched when it has not been heard; null for a host that nobody knows.</summary>
    public SilenceObserved? SilenceOf(string hostId)
    {
        lock (gate)
        {
            return hosts.TryGetValue(hostId, out WatchedHost? host) ? Silence(hostId, host) : null;
        }
    }

    /// <summary>Hosts that are silent beyond the limit and not suspected as far as this process has read, each with the time of its last beat.</summary>
    public IReadOnlyList<HeartbeatDeadline> Overdue(TimeSpan limit)
    {
        lock (gate)
        {
            return
            [
                .. hosts.Where(host => host.Value.Health.Suspicion is null && Silence(host.Key, host.Value).Silence > limit)
                    .Select(host => new HeartbeatDeadline(host.Key, host.Value.HeardAtTime))
                    .OrderBy(deadline => deadline.HostId, StringComparer.Ordinal),
            ];
        }
    }

    /// <summary>Every host that is known and not suspected, in the order of their ids.</summary>
    public IReadOnlyList<string> Trusted()
    {
        lock (gate)
        {
            return [.. hosts.Where(host => host.Value.Health.Suspicion is null).Select(host => host.Key).Order(StringComparer.Ordinal)];
        }
    }

    private SilenceObserved Silence(string hostId, WatchedHost host) =>
        new(hostId, time.GetElapsedTime(host.HeardAt ?? host.WatchedSince), HeardSinceStart: host.HeardAt is not null);

    private WatchedHost Of(string hostId)
    {
        if (!hosts.TryGetValue(hostId, out WatchedHost? host))
        {
            host = new WatchedHost { Health = HealthState.Unknown(hostId), WatchedSince = time.GetTimestamp(), HeardAtTime = time.GetUtcNow() };
            hosts.Add(hostId, host);
        }

        return host;
    }

    private sealed class WatchedHost
    {
        public required HealthState Health { get; set; }

        /// <summary>Timestamp of the monotonic clock when the host became known: at the monitor's start, or when it was registered.</summary>
        public required long WatchedSince { get; init; }

        /// <summary>By the wall clock, only to be told; since when it is watched until it is heard.</summary>
        public required DateTimeOffset HeardAtTime { get; set; }

        /// <summary>Timestamp of the monotonic clock, which is what silences are measured with; null until it is heard.</summary>
        public long? HeardAt { get; set; }
    }
}
