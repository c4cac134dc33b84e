namespace SpecMesh.Speculation.Costs;

/// <summary>How the progress of siblings is compared. Siblings, and never absolute values: a shared uplink slows all of them, and an absolute limit would end them all.</summary>
/// <param name="GraceSeconds">A replica is not judged before this age; its rate is a moving average that needs it. 10 s (facts: protocol, section 3).</param>
/// <param name="LateFactor">A replica is late when it is expected to end after so many times the best sibling's time; 3 (facts: protocol, section 3, choice).</param>
/// <param name="LateWindows">For so many windows in a row; 3 (same).</param>
/// <param name="WindowSeconds">Length of a window; 1 s, the pace of the judge.</param>
/// <param name="SlowSeconds">How long the rate must be below the share of the siblings' median that <c>CostLimits.MinProgress</c> names; 10 s (same).</param>
/// <param name="ConvergenceShare">A round that leaves not this share less than the one before does not converge; .05 (same).</param>
/// <param name="StalledRounds">Rounds in a row that do not converge; 3 (same).</param>
/// <param name="StalledMemoryFactor">And the replica has sent this many times its memory; 2 (same).</param>
/// <param name="PauseBudgetSeconds">What can be sent in this time counts as done; .05 s, the stop rule's own budget.</param>
public sealed record ProgressOptions(
    double GraceSeconds = 10,
    double LateFactor = 3,
    int LateWindows = 3,
    double WindowSeconds = 1,
    double SlowSeconds = 10,
    double ConvergenceShare = 0.05,
    int StalledRounds = 3,
    double StalledMemoryFactor = 2,
    double PauseBudgetSeconds = 0.05)
{
    /// <summary>The share of the siblings' median rate that a workload gets when it asks for the policy without a number; .05 (facts: protocol, section 3).</summary>
    public const double DefaultMinProgress = 0.05;

    /// <summary>The values of the facts.</summary>
    public static ProgressOptions Default { get; } = new();
}
