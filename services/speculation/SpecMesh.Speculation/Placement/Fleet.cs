using System.Collections.Immutable;
using SpecMesh.Contracts;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.Placement;

/// <summary>All hosts as one placement decision sees them.</summary>
/// <param name="Hosts">By id, in the order of the ids.</param>
/// <param name="Suspected">Why a host is suspected, by its id.</param>
public sealed record Fleet(ImmutableSortedDictionary<string, HostState> Hosts, ImmutableDictionary<string, Reason> Suspected)
{
    /// <summary>How replicas have ended on a host, by its id; hosts that nothing was counted on are absent.</summary>
    public ImmutableDictionary<string, DiscountedOutcomes> Outcomes { get; init; } = ImmutableDictionary.Create<string, DiscountedOutcomes>(StringComparer.Ordinal);

    /// <summary>What earlier operations leave behind for the number of replicas of later ones.</summary>
    public SpeculationState Speculation { get; init; } = SpeculationState.None;

    /// <summary>No hosts.</summary>
    public static Fleet Empty { get; } = new(
        ImmutableSortedDictionary.Create<string, HostState>(StringComparer.Ordinal),
        ImmutableDictionary.Create<string, Reason>(StringComparer.Ordinal));

    /// <summary>The same hosts with one of them as it is now.</summary>
    public Fleet With(HostState host) => this with { Hosts = Hosts.SetItem(host.HostId, host) };

    /// <summary>The fleet after a decision's events.</summary>
    public Fleet Evolve(PlacementDecision decision)
    {
        Fleet fleet = this;
        foreach ((string hostId, IReadOnlyList<object> events) in decision.EventsByHost)
        {
            HostState before = fleet.Hosts.GetValueOrDefault(hostId) ?? HostState.Unknown(hostId);
            fleet = fleet.With(events.Aggregate(before, HostState.Evolve));
        }

        return decision.Speculation is { } speculation ? fleet with { Speculation = SpeculationState.Evolve(fleet.Speculation, speculation.Decided) } : fleet;
    }
}

/// <summary>A decision about several hosts at once: all of it becomes durable, or nothing.</summary>
/// <param name="EventsByHost">Records to append to each <c>host-{id}</c>, in order. Hosts that nothing happens to are absent.</param>
/// <param name="Effects">Messages that leave through the outbox, in order.</param>
public sealed record PlacementDecision(IReadOnlyDictionary<string, IReadOnlyList<object>> EventsByHost, IReadOnlyList<Effect> Effects)
{
    /// <summary>What is recorded in <c>speculation-cluster</c>; null: nothing.</summary>
    public SpeculationStep? Speculation { get; init; }

    /// <summary>Nothing happens.</summary>
    public static PlacementDecision Nothing { get; } = new(ImmutableDictionary<string, IReadOnlyList<object>>.Empty, []);
}

/// <summary>A decision about the number of replicas.</summary>
/// <param name="Question">What was asked; kept beside the event, so that it can be answered again.</param>
/// <param name="Decided">The event.</param>
public sealed record SpeculationStep(SpeculationQuestion Question, SpeculationDecided Decided);
