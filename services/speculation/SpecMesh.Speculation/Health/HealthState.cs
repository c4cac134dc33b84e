using System.Collections.Immutable;
using SpecMesh.Contracts;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.Health;

/// <summary>One replica of one operation.</summary>
public readonly record struct ReplicaKey(Guid OperationId, int Replica);

/// <summary>What the event stream <c>health-{id}</c> says.</summary>
/// <param name="HostId">The host.</param>
/// <param name="Suspicion">Why the host is suspected; null while it is trusted.</param>
/// <param name="Successes">Replicas that won here.</param>
/// <param name="Failures">Replicas that a fault ended here.</param>
/// <param name="Counted">The latest replicas that were counted, oldest first, so that a report that comes again counts once.</param>
public sealed record HealthState(string HostId, Reason? Suspicion, int Successes, int Failures, ImmutableQueue<ReplicaKey> Counted)
{
    /// <summary>The counted replicas, those of long ago counting little: what failure rates are estimated from.</summary>
    public DiscountedOutcomes Outcomes { get; private init; }

    /// <summary>How many counted replicas a host remembers.</summary>
    public const int RememberedReplicas = 256;

    /// <summary>A host that nothing bad, and nothing good, is known of.</summary>
    public static HealthState Unknown(string hostId) => new(hostId, null, 0, 0, []);

    /// <summary>The state after one event of <c>health-{id}</c>.</summary>
    /// <exception cref="InvalidOperationException">The event does not belong into a host's health.</exception>
    public static HealthState Evolve(HealthState state, object @event) => @event switch
    {
        HostSuspected e => state with { Suspicion = e.Reason },
        HostRecovered => state with { Suspicion = null },
        ReplicaOutcomeCounted e => state.Count(e),
        _ => throw new InvalidOperationException($"{@event.GetType().Name} does not belong into a host's health."),
    };

    private HealthState Count(ReplicaOutcomeCounted e)
    {
        ImmutableQueue<ReplicaKey> counted = Counted.Enqueue(new ReplicaKey(e.OperationId, e.Replica));
        return this with
        {
            // An outcome without a time was counted before estimates were made; it says nothing about now.
            Outcomes = e.At is { } at ? Outcomes.With(e.Failed, DiscountedOutcomes.SecondsOf(at), EstimationOptions.Default.HalfLifeSeconds) : Outcomes,
            Successes = Successes + (e.Failed ? 0 : 1),
            Failures = Failures + (e.Failed ? 1 : 0),
            Counted = Successes + Failures >= RememberedReplicas ? counted.Dequeue() : counted,
        };
    }
}
