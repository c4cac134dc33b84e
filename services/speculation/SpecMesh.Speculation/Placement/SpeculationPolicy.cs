using SpecMesh.Speculation.Costs;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.Placement;

/// <summary>When a host that the policy avoids is tried again.</summary>
/// <param name="AfterSeconds">Nothing has been heard of it for so long: a replica that ended there, or a probe. Default 930 s, the mean duration of a failure (facts: simulation, section 2).</param>
/// <param name="EverySeconds">At least so long after the last probe of any host, so that a rack that comes back is not tried by everybody at once. Default 60 s (choice).</param>
public sealed record ProbeOptions(double AfterSeconds = 930, double EverySeconds = 60)
{
    /// <summary>The values of the facts.</summary>
    public static ProbeOptions Default { get; } = new();
}

/// <summary>What a cluster's operator lays down for the speculation of all operations together.</summary>
/// <param name="Budget">The cluster's token bucket; null: no limit.</param>
/// <param name="LowerMargin">The hysteresis of <see cref="AdaptiveOptions.LowerMargin"/>; 1: none.</param>
/// <param name="Probes">When avoided hosts are tried again; null: never.</param>
public sealed record SpeculationPolicy(BudgetOptions? Budget, double LowerMargin, ProbeOptions? Probes)
{
    /// <summary>Name of no limit: each operation gets what its own policy asks for.</summary>
    public const string NoBudget = "none";

    /// <summary>Name of the token bucket of <see cref="SpeculationBudget"/>, counted in replicas.</summary>
    public const string TokenBucket = "token-bucket";

    /// <summary>What holds where nothing is configured.</summary>
    public static SpeculationPolicy Default { get; } = new(Budget: null, AdaptiveOptions.Default.LowerMargin, ProbeOptions.Default);

    /// <summary>Every name of a budget, in alphabetical order.</summary>
    public static IReadOnlyList<string> BudgetNames { get; } = [NoBudget, TokenBucket];
}
