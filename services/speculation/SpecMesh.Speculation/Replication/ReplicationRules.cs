using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;

namespace SpecMesh.Speculation.Replication;

/// <summary>Which wishes for replicas make sense, and what holds where a workload leaves something out.</summary>
public static class ReplicationRules
{
    /// <summary>As many as asked for, all at once.</summary>
    public const string Fixed = "fixed";

    /// <summary>The fewest that are expected to reach an epsilon.</summary>
    public const string Adaptive = "adaptive";

    /// <summary>One after the other.</summary>
    public const string Hedged = "hedged";

    /// <summary>Every name that can be asked for, in alphabetical order.</summary>
    public static IReadOnlyList<string> Names { get; } = [Adaptive, Fixed, Hedged];

    /// <summary>The most replicas that an operation may get.</summary>
    /// <param name="wish">The wish; null: fixed.</param>
    /// <param name="sq">Replicas that were asked for by number; null: none.</param>
    /// <param name="targets">Targets that were named; 0: any host.</param>
    public static int MostReplicas(ReplicationWish? wish, int? sq, int targets) => wish is { Policy: Adaptive }
        ? wish.MaxReplicas ?? (targets > 0 ? Math.Min(targets, AdaptiveOptions.Default.MaxReplicas) : AdaptiveOptions.Default.MaxReplicas)
        : sq ?? Math.Max(1, targets);

    /// <summary>The first field of the wish that makes no sense, why, and a stable word for it; null when all do.</summary>
    /// <param name="wish">The wish.</param>
    /// <param name="hasSq">True when a number of replicas was asked for as well.</param>
    /// <param name="runsOneAtATime">True when the manager runs one replica at a time.</param>
    public static (string Field, string Code, string Detail)? FirstError(ReplicationWish wish, bool hasSq, bool runsOneAtATime)
    {
        ArgumentNullException.ThrowIfNull(wish);
        if (!Names.Contains(wish.Policy, StringComparer.Ordinal))
        {
            return ("replication.policy", "unknown-policy", $"Known are: {string.Join(", ", Names)}.");
        }

        if (runsOneAtATime && wish.Policy != Fixed)
        {
            return ("replication.policy", "manager-runs-one", $"This manager runs one replica at a time; {wish.Policy} needs the manager speculative.");
        }

        return Unused("replication.epsilon", wish.Epsilon is not null, wish, Adaptive)
            ?? Unused("replication.maxReplicas", wish.MaxReplicas is not null, wish, Adaptive)
            ?? Unused("replication.hedgeDelaySeconds", wish.HedgeDelaySeconds is not null, wish, Hedged)
            ?? Wrong("replication.epsilon", "out-of-range", wish.Epsilon is { } epsilon && !(epsilon is > 0 and < 1), "Epsilon is above 0 and below 1.")
            ?? Wrong("replication.maxReplicas", "out-of-range", wish.MaxReplicas is < 1 or > AdaptiveReplication.MostReplicas, $"An operation has 1 to {AdaptiveReplication.MostReplicas} replicas.")
            ?? Wrong(
                "replication.hedgeDelaySeconds",
                "out-of-range",
                wish.HedgeDelaySeconds is { } delay && !(delay > 0 && delay <= CostRules.MaxTimeoutSeconds),
                $"The delay is above 0 and at most {CostRules.MaxTimeoutSeconds} seconds.")
            ?? Wrong("sq", "not-with-adaptive", hasSq && wish.Policy == Adaptive, "The policy adaptive chooses the number itself; replication.maxReplicas bounds it.");
    }

    /// <summary>The wish with everything that was left out filled in; null for as many as asked for, all at once.</summary>
    public static ReplicationWish? WithDefaults(ReplicationWish? wish, int most, OperationKind kind, long memoryBytes) => wish?.Policy switch
    {
        Adaptive => wish with { Epsilon = wish.Epsilon ?? AdaptiveOptions.Default.Epsilon, MaxReplicas = most },
        // The default timeout is three times the normal time on a slow network.
        Hedged => wish with { HedgeDelaySeconds = wish.HedgeDelaySeconds ?? CostRules.DefaultTimeout(kind, memoryBytes).TotalSeconds / 3 },
        _ => wish,
    };

    private static (string Field, string Code, string Detail)? Unused(string field, bool isGiven, ReplicationWish wish, string policy) =>
        Wrong(field, "not-used", isGiven && wish.Policy != policy, $"Only the policy {policy} uses this.");

    private static (string Field, string Code, string Detail)? Wrong(string field, string code, bool isWrong, string detail) => isWrong ? (field, code, detail) : null;
}
