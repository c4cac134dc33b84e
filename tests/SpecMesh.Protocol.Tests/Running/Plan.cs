using SpecMesh.Placement;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Speculation;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Protocol.Tests.Running;

/// <summary>One schedule: its seed, and what is left out of it.</summary>
/// <param name="Seed">Decides everything.</param>
internal sealed record Plan(ulong Seed)
{
    public Omitted Omitted { get; init; } = Omitted.Nothing;

    public Mutator Mutator { get; init; } = Mutator.None;

    public bool Traced { get; init; }

    /// <summary>The only kinds of fault that happen, and how often, from 0 to 1; empty: as the seed has it.</summary>
    public IReadOnlyDictionary<Fault, double> Focus { get; init; } = new Dictionary<Fault, double>();

    /// <summary>Only so many of the seed's hosts.</summary>
    public int MostHosts { get; init; } = int.MaxValue;

    /// <summary>Operations that are not asked for, by their number.</summary>
    public IReadOnlySet<int> OmittedOperations { get; init; } = new HashSet<int>();

    /// <summary>What the cluster's operator has laid down for speculation: as it comes, a budget that is soon spent, and probes within the few seconds of a schedule.</summary>
    public PlacementOptions Placement { get; } = (Seed % 4) switch
    {
        0 => new PlacementOptions(),
        1 => new PlacementOptions { AdaptiveLowerMargin = 0.05, ProbeAfterSeconds = 1, ProbeEverySeconds = 0 },
        _ => new PlacementOptions
        {
            AdaptiveLowerMargin = 0.05,
            Budget = SpeculationPolicy.TokenBucket,
            BudgetSharePercent = new Prng(Seed).Uniform(0, 100),
            BudgetBurstReplicas = new Prng(Seed).NextInt(8),
            ProbeAfterSeconds = 1,
            ProbeEverySeconds = 1,
        },
    };
}
