using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Costs;

/// <summary>
/// The one place where costs are judged: each second and at each round's end, by the agent that sees all siblings, and by the simulator. Timeout, resources and progress each may object
/// to a replica; any one is enough. Nothing is allocated. A further policy is one more function in <see cref="FirstObjection"/> and one more field of <see cref="CostLimits"/>.
/// </summary>
/// <remarks>
/// Two rules stand above all policies: a replica that has its vote is never touched, because it may have committed; and the last live replica is kept unless
/// <see cref="CostLimits.AbortLast"/> says otherwise. When several are to go, the one that is expected to end last goes first, so that the best is what is kept.
/// </remarks>
public static class CostPolicies
{
    /// <summary>The most siblings that are judged together.</summary>
    public const int MostSiblings = 64;

    /// <summary>Judges all live siblings of one operation together.</summary>
    /// <param name="limits">What the workload allows.</param>
    /// <param name="options">How progress is compared.</param>
    /// <param name="operation">What the operation as a whole has cost, replicas that have ended included.</param>
    /// <param name="siblings">Every live replica, with its standing set. What the judge remembers is changed in place.</param>
    /// <param name="findings">Where the replicas that are to be aborted go; at least as long as <paramref name="siblings"/>.</param>
    /// <returns>How many there are.</returns>
    public static int Judge(CostLimits limits, ProgressOptions options, in OperationCost operation, Span<Sibling> siblings, Span<CostFinding> findings)
    {
        ArgumentNullException.ThrowIfNull(limits);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(siblings.Length, MostSiblings);
        if (limits.MinProgress is { } share)
        {
            ProgressPolicy.Observe(share, options, operation.DirtyBytesPerSecond, siblings);
        }

        Span<double> etas = stackalloc double[siblings.Length];
        int found = 0;
        for (int i = 0; i < siblings.Length; i++)
        {
            etas[i] = siblings[i].EtaSeconds(operation.DirtyBytesPerSecond, options.PauseBudgetSeconds) ?? double.PositiveInfinity;
            if (!siblings[i].IsVoted && FirstObjection(limits, options, siblings, i) is { } finding)
            {
                findings[found++] = finding;
            }
        }

        if (found == 0 && ResourcePolicy.WhatOperationObjectsTo(limits, operation) is { } spent && WorstOf(siblings, etas) is >= 0 and var worst)
        {
            // One at a time: what is left may be enough for those that remain, and the next judgement is a second away.
            findings[found++] = spent with { Replica = siblings[worst].Replica };
        }

        return limits.AbortLast == true || found < siblings.Length ? found : KeepBest(siblings, etas, findings[..found]);
    }

    /// <summary>The first policy that objects to one replica; null when none does.</summary>
    private static CostFinding? FirstObjection(CostLimits limits, ProgressOptions options, ReadOnlySpan<Sibling> siblings, int index) =>
        Timeout(limits, siblings[index])
        ?? ResourcePolicy.WhatReplicaObjectsTo(limits, siblings[index])
        ?? (limits.MinProgress is { } share ? ProgressPolicy.WhatObjectsTo(share, limits.AbortLast == true, options, siblings, index) : null);

    /// <summary>Every live replica is to go: the one that is expected to end first stays. Between equals the one that has sent most stays, and of these the first.</summary>
    private static int KeepBest(ReadOnlySpan<Sibling> siblings, ReadOnlySpan<double> etas, Span<CostFinding> findings)
    {
        int best = 0;
        for (int i = 1; i < siblings.Length; i++)
        {
            if (IsBetter(siblings, etas, i, best))
            {
                best = i;
            }
        }

        int kept = 0;
        foreach (CostFinding finding in findings)
        {
            if (finding.Replica != siblings[best].Replica)
            {
                findings[kept++] = finding;
            }
        }

        return kept;
    }

    private static int WorstOf(ReadOnlySpan<Sibling> siblings, ReadOnlySpan<double> etas)
    {
        int worst = -1;
        for (int i = 0; i < siblings.Length; i++)
        {
            if (!siblings[i].IsVoted && (worst < 0 || !IsBetter(siblings, etas, i, worst)))
            {
                worst = i;
            }
        }

        return worst;
    }

    private static bool IsBetter(ReadOnlySpan<Sibling> siblings, ReadOnlySpan<double> etas, int one, int other) =>
        etas[one] < etas[other] || (etas[one] == etas[other] && siblings[one].Now.BytesSent > siblings[other].Now.BytesSent);

    private static CostFinding? Timeout(CostLimits limits, in Sibling sibling) =>
        limits.TimeoutSeconds is { } limit && sibling.Now.ElapsedSeconds > limit
            ? new CostFinding(sibling.Replica, "timeout", "The replica took longer than the workload allows.", sibling.Now.ElapsedSeconds, limit)
            : null;
}
