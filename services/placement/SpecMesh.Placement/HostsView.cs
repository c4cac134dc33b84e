using System.Collections.Immutable;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Speculation.Health;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Placement;

/// <summary>The last beat of a host's agent that this process heard.</summary>
/// <param name="Message">What it said.</param>
/// <param name="HeardAt">When, as a timestamp of the monotonic clock.</param>
internal sealed record HeardBeat(HostHeartbeat Message, long HeardAt);

/// <summary>
/// Every host in memory: the folds of <c>host-{id}</c>, <c>health-{id}</c> and <c>speculation-cluster</c>, and the last beats. It says which hosts there are and from where their event streams
/// are to be read on; a decision is only taken on what was read since.
/// </summary>
internal sealed class HostsView(TimeProvider time) : IDisposable
{
    private const int PageSize = 1000;

    private readonly Lock gate = new();
    private readonly SemaphoreSlim building = new(1, 1);
    private readonly Dictionary<string, HeardBeat> beats = new(StringComparer.Ordinal);
    private readonly Dictionary<string, GuestSightings> sightings = new(StringComparer.Ordinal);
    private ImmutableSortedDictionary<string, Loaded<HostState>> hosts = ImmutableSortedDictionary.Create<string, Loaded<HostState>>(StringComparer.Ordinal);
    private ImmutableDictionary<string, Loaded<HealthState>> health = ImmutableDictionary.Create<string, Loaded<HealthState>>(StringComparer.Ordinal);
    private Loaded<SpeculationState> speculation = new(SpeculationState.None, 0);
    private volatile bool built;

    /// <summary>The folds so far, by host.</summary>
    public ImmutableSortedDictionary<string, Loaded<HostState>> Hosts
    {
        get
        {
            lock (gate)
            {
                return hosts;
            }
        }
    }

    /// <summary>Why a host is suspected, by its id.</summary>
    public ImmutableDictionary<string, Reason> Suspected
    {
        get
        {
            lock (gate)
            {
                return health.Where(pair => pair.Value.State.Suspicion is not null)
                    .ToImmutableDictionary(pair => pair.Key, pair => pair.Value.State.Suspicion!, StringComparer.Ordinal);
            }
        }
    }

    /// <summary>How replicas have ended on a host, by its id, as failure-monitor has counted them.</summary>
    public ImmutableDictionary<string, DiscountedOutcomes> Outcomes
    {
        get
        {
            lock (gate)
            {
                return health.Where(pair => pair.Value.State.Outcomes.Total > 0)
                    .ToImmutableDictionary(pair => pair.Key, pair => pair.Value.State.Outcomes, StringComparer.Ordinal);
            }
        }
    }

    /// <summary>The fold of <c>speculation-cluster</c> so far.</summary>
    public Loaded<SpeculationState> Speculation
    {
        get
        {
            lock (gate)
            {
                return speculation;
            }
        }
    }

    /// <summary>Takes in one stored event. The same event twice changes nothing.</summary>
    public void Apply(StoredEvent stored)
    {
        lock (gate)
        {
            if (stored.StreamId.StartsWith(EventStreams.HostPrefix, StringComparison.Ordinal))
            {
                string hostId = stored.StreamId[EventStreams.HostPrefix.Length..];
                Loaded<HostState> before = hosts.GetValueOrDefault(hostId) ?? new Loaded<HostState>(HostState.Unknown(hostId), 0);
                hosts = hosts.SetItem(hostId, Next(before, stored, HostState.Evolve));
            }
            else if (stored.StreamId.StartsWith(EventStreams.HealthPrefix, StringComparison.Ordinal))
            {
                string hostId = stored.StreamId[EventStreams.HealthPrefix.Length..];
                Loaded<HealthState> before = health.GetValueOrDefault(hostId) ?? new Loaded<HealthState>(HealthState.Unknown(hostId), 0);
                health = health.SetItem(hostId, Next(before, stored, HealthState.Evolve));
            }
            else if (stored.StreamId == EventStreams.Speculation)
            {
                speculation = Next(speculation, stored, SpeculationState.Evolve);
            }
            else if (stored.StreamId.StartsWith(EventStreams.VmPrefix, StringComparison.Ordinal))
            {
                // An operation began or ended: what beats said of the machine before is no longer about the machine as it is.
                string vmId = stored.StreamId[EventStreams.VmPrefix.Length..];
                foreach (string hostId in sightings.Where(pair => pair.Value.Beats.ContainsKey(vmId)).Select(pair => pair.Key).ToList())
                {
                    sightings[hostId] = sightings[hostId].Forget(vmId);
                }
            }
        }
    }

    /// <summary>
    /// Returns when the view has seen every event that was there at the first call. A message that waited while this service was down arrives before the view is built;
    /// decided on half of the hosts it would be refused for nothing.
    /// </summary>
    public async Task EnsureBuiltAsync(IEventStore store, CancellationToken cancellationToken)
    {
        if (built)
        {
            return;
        }

        await building.WaitAsync(cancellationToken);
        try
        {
            for (long sequence = 0; !built;)
            {
                EventPage page = await store.ReadAllAsync(sequence, PageSize, cancellationToken);
                foreach (StoredEvent stored in page.Events)
                {
                    Apply(stored);
                }

                sequence = page.NextSequence;
                built = page.Events.Count == 0;
            }
        }
        finally
        {
            building.Release();
        }
    }

    /// <summary>Remembers a beat.</summary>
    /// <returns>Machines whose allocation on the host has differed from what its agent says for so long that it is to be decided about.</returns>
    public IReadOnlyList<string> Heard(HostHeartbeat beat, DateTimeOffset now)
    {
        lock (gate)
        {
            beats[beat.HostId] = new HeardBeat(beat, time.GetTimestamp());
            HostState host = hosts.GetValueOrDefault(beat.HostId)?.State ?? HostState.Unknown(beat.HostId);
            GuestSightings before = sightings.GetValueOrDefault(beat.HostId) ?? GuestSightings.None;
            GuestSightings after = before.Hear(host, beat, now);
            sightings[beat.HostId] = after;
            return ReferenceEquals(before, after) ? [] : [.. after.Due];
        }
    }

    /// <summary>The last beat of a host and its age; null when none was heard.</summary>
    public (HostHeartbeat Message, TimeSpan Age)? LastBeat(string hostId)
    {
        lock (gate)
        {
            return beats.TryGetValue(hostId, out HeardBeat? beat) ? (beat.Message, time.GetElapsedTime(beat.HeardAt)) : null;
        }
    }

    public void Dispose() => building.Dispose();

    private static Loaded<TState> Next<TState>(Loaded<TState> before, StoredEvent stored, Func<TState, object, TState> evolve)
    {
        if (stored.Version <= before.Version)
        {
            return before;
        }

        return stored.Version == before.Version + 1
            ? new Loaded<TState>(evolve(before.State, stored.Data), stored.Version)
            : throw new InvalidOperationException($"{stored.StreamId} went on from version {before.Version} to {stored.Version}: events in between were skipped.");
    }
}
