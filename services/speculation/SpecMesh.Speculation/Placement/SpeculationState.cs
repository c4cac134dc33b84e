using System.Collections.Immutable;
using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.Placement;

/// <summary>What the event stream <c>speculation-cluster</c> says: what one operation leaves behind for the next one's number of replicas.</summary>
/// <param name="Budget">The cluster's token bucket when it was last used; null before.</param>
/// <param name="Kinds">How many replicas the last operation of each kind wanted, the latest first.</param>
/// <param name="ProbedAtSeconds">When a host was last probed, by its id, in seconds since the Unix epoch.</param>
/// <param name="LastProbeAtSeconds">When any host was; null: none was.</param>
public sealed record SpeculationState(
    SpeculationBudget? Budget, ImmutableList<KindOfOperation> Kinds, ImmutableDictionary<string, double> ProbedAtSeconds, double? LastProbeAtSeconds)
{
    /// <summary>How many kinds are remembered. Whoever asks for a kind that came before so many others is compared with nothing.</summary>
    public const int RememberedKinds = 64;

    /// <summary>A cluster that has not speculated yet.</summary>
    public static SpeculationState None { get; } = new(null, [], ImmutableDictionary.Create<string, double>(StringComparer.Ordinal), null);

    /// <summary>Replicas that the last operation of this kind wanted; 0: none is remembered.</summary>
    public int ReplicasBefore(string? kind) => Kinds.FirstOrDefault(known => known.Kind == kind)?.Replicas ?? 0;

    /// <summary>The state after one event of <c>speculation-cluster</c>.</summary>
    /// <exception cref="InvalidOperationException">The event does not belong into that event stream.</exception>
    public static SpeculationState Evolve(SpeculationState state, object @event) => @event is SpeculationDecided decided
        ? state.After(decided)
        : throw new InvalidOperationException($"{@event.GetType().Name} does not belong into {EventStreams.Speculation}.");

    private SpeculationState After(SpeculationDecided decided)
    {
        double seconds = DiscountedOutcomes.SecondsOf(decided.At);
        SpeculationState after = this;
        if (decided.BudgetReplicas is { } left)
        {
            // Instances' clocks differ: time that has been paid for is not paid for again.
            after = after with { Budget = new SpeculationBudget(left, Math.Max(seconds, Budget?.AtSeconds ?? seconds)) };
        }

        if (decided.Kind is { } kind)
        {
            ImmutableList<KindOfOperation> others = after.Kinds.RemoveAll(known => known.Kind == kind);
            others = others.Count < RememberedKinds ? others : others.RemoveAt(others.Count - 1);
            after = after with { Kinds = others.Insert(0, new KindOfOperation(kind, decided.WantedReplicas)) };
        }

        return decided.ProbedHostId is { } hostId ? after with { ProbedAtSeconds = after.ProbedAtSeconds.SetItem(hostId, seconds), LastProbeAtSeconds = seconds } : after;
    }
}

/// <summary>Operations whose number of replicas is compared.</summary>
/// <param name="Kind">What they have in common.</param>
/// <param name="Replicas">How many the last of them wanted.</param>
public sealed record KindOfOperation(string Kind, int Replicas);
