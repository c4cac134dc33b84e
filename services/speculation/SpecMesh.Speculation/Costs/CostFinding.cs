using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Costs;

/// <summary>A replica that costs more than the workload allows.</summary>
/// <param name="Replica">Number of the replica.</param>
/// <param name="Code">Name of the policy, as a stable word.</param>
/// <param name="Detail">What it objects to, as a sentence.</param>
/// <param name="Observed">What it observed.</param>
/// <param name="Limit">What that was compared with.</param>
public readonly record struct CostFinding(int Replica, string Code, string Detail, double Observed, double Limit)
{
    /// <summary>As events and people see it. What is infinite has no number.</summary>
    public Reason ToReason() => new(Code, Detail, Finite(Observed), Finite(Limit));

    private static double? Finite(double value) => double.IsFinite(value) ? Math.Round(value, 3) : null;
}
