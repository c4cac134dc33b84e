using System.Globalization;
using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.Placement;

/// <summary>A host that a replica may go to.</summary>
/// <param name="HostId">The host.</param>
/// <param name="FailureProbability">Estimate that a replica fails on it.</param>
public sealed record RankedHost(string HostId, double FailureProbability);

/// <summary>A host that is avoided for its failures, of which nothing has been heard for long.</summary>
/// <param name="HostId">The host.</param>
/// <param name="UnheardSeconds">Since its last outcome, or the last probe.</param>
public sealed record OverdueHost(string HostId, double UnheardSeconds);

/// <summary>How many replicas does an operation get? Everything that the answer depends on beside the state; it is recorded with the answer.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Request">Number of its request for hosts.</param>
/// <param name="Wanted">Replicas that are asked for; with a wish for the policy adaptive, the most.</param>
/// <param name="Wish">How the number is to be chosen; null: as many as asked for.</param>
/// <param name="IsUnbound">True when any host may be chosen: only such operations are compared with one another.</param>
/// <param name="Fitting">Hosts with room.</param>
/// <param name="Ranked">The hosts that replicas would go to, one after the other; empty unless the policy is adaptive.</param>
/// <param name="Overdue">Avoided hosts that may be probed, the longest unheard first; at least as many as can be ranked and one more, if there are.</param>
/// <param name="Policy">What the operator has laid down.</param>
/// <param name="At">Present time.</param>
public sealed record SpeculationQuestion(
    Guid OperationId,
    int Request,
    int Wanted,
    ReplicationWish? Wish,
    bool IsUnbound,
    int Fitting,
    IReadOnlyList<RankedHost> Ranked,
    IReadOnlyList<OverdueHost> Overdue,
    SpeculationPolicy Policy,
    DateTimeOffset At);

/// <summary>The answer.</summary>
/// <param name="Replicas">Replicas that are granted on the hosts that were ranked, or on any that fit.</param>
/// <param name="Probe">A host that one more replica tries; null: none.</param>
/// <param name="Number">What the policy adaptive said; null for another one.</param>
/// <param name="BudgetCut">How the budget cut the number; null: it did not.</param>
/// <param name="Recorded">What is recorded of it.</param>
public sealed record SpeculationAnswer(int Replicas, OverdueHost? Probe, ReplicationVerdict? Number, Reason? BudgetCut, SpeculationDecided Recorded);

/// <summary>
/// The number of replicas where it depends on other operations: the cluster's budget, the hysteresis and the probes. A recorded question that is answered again from the state before
/// it gives the same event.
/// </summary>
public static class SpeculationDecider
{
    /// <summary>True when a request touches <c>speculation-cluster</c>: a number that nobody chooses and no budget bounds leaves nothing behind.</summary>
    public static bool Concerns(SelectTargets command, SpeculationPolicy policy) => policy.Budget is not null || IsAdaptive(command.Replication);

    /// <summary>Answers.</summary>
    public static SpeculationAnswer Decide(SpeculationState state, SpeculationQuestion question)
    {
        double now = DiscountedOutcomes.SecondsOf(question.At);
        SpeculationBudget? bucket = question.Policy.Budget is { } budget
            ? (state.Budget ?? SpeculationBudget.Full(budget, now)).Earn(budget, now, necessaryWork: question.Request == 0 ? 1 : 0)
            : null;
        int affordable = bucket is { } full ? 1 + full.Whole : int.MaxValue;
        (int wanted, int granted, List<Reason> verdicts, ReplicationVerdict? number) = IsAdaptive(question.Wish)
            ? Chosen(state, question, affordable)
            : Given(Math.Min(question.Wanted, question.Fitting), affordable);
        Reason? cut = granted < wanted
            ? new Reason("speculation-budget", "The cluster's budget for speculative work allows fewer replicas than were wanted.", wanted, affordable)
            : null;
        OverdueHost? probe = cut is null && number is not null && granted < affordable ? Probe(state, question, granted, now) : null;
        AddTo(verdicts, cut);
        AddTo(verdicts, probe is null ? null : new Reason(
            "probe", $"{probe.HostId} is avoided and has not been heard of for long; one replica more tries it.", Math.Round(probe.UnheardSeconds, 3), question.Policy.Probes!.AfterSeconds));
        int replicas = granted + (probe is null ? 0 : 1);
        SpeculationDecided recorded = new(
            question.OperationId,
            question.Request,
            wanted,
            replicas,
            number is null ? null : KindOf(question),
            bucket?.Spend(Math.Max(0, replicas - 1)).Tokens,
            probe?.HostId,
            verdicts,
            question.At);
        return new SpeculationAnswer(granted, probe, number, cut, recorded);
    }

    /// <summary>What the policy adaptive is asked for by this wish.</summary>
    public static AdaptiveOptions OptionsOf(ReplicationWish wish, int most, double lowerMargin) =>
        AdaptiveOptions.Default with { Epsilon = wish.Epsilon ?? AdaptiveOptions.Default.Epsilon, MaxReplicas = most, LowerMargin = lowerMargin };

    /// <summary>True for a wish for the policy that chooses the number itself.</summary>
    public static bool IsAdaptive(ReplicationWish? wish) => wish is { Policy: ReplicationRules.Adaptive };

    private static (int Wanted, int Granted, List<Reason> Verdicts, ReplicationVerdict? Number) Given(int wanted, int affordable) =>
        (wanted, Math.Min(wanted, affordable), [], null);

    private static (int Wanted, int Granted, List<Reason> Verdicts, ReplicationVerdict? Number) Chosen(SpeculationState state, SpeculationQuestion question, int affordable)
    {
        AdaptiveOptions options = OptionsOf(question.Wish!, question.Wanted, question.Policy.LowerMargin);
        Candidate[] ranked = [.. question.Ranked.Select((host, i) => new Candidate(i, i, host.FailureProbability))];
        int before = state.ReplicasBefore(KindOf(question));
        ReplicationVerdict wanted = AdaptiveReplication.CountOf(options, ranked, question.Fitting, int.MaxValue, before);
        ReplicationVerdict granted = AdaptiveReplication.CountOf(options, ranked, question.Fitting, affordable, before);
        ReplicationVerdict alone = AdaptiveReplication.CountOf(options, ranked, question.Fitting, int.MaxValue, before: 0);
        List<Reason> verdicts = [granted.ToReason()];
        if (alone.Replicas < wanted.Replicas)
        {
            string detail = $"The operation before had {before} replicas; {alone.Replicas} would do, but not by the margin that keeps the number from swinging.";
            verdicts.Add(new ReplicationVerdict(wanted.Replicas, "hysteresis", detail, alone.Observed, options.Epsilon * options.LowerMargin).ToReason());
        }

        return (wanted.Replicas, granted.Replicas, verdicts, granted);
    }

    /// <summary>
    /// The probe is one replica more, never one in place of a better host: the operation keeps the success that it asked for, and what is tried out is paid from the budget.
    /// A probe that loses its race says nothing of its host, which is then tried again.
    /// </summary>
    private static OverdueHost? Probe(SpeculationState state, SpeculationQuestion question, int granted, double now)
    {
        bool isDue = question.Policy.Probes is { } options && (state.LastProbeAtSeconds is not { } last || now - last >= options.EverySeconds);
        return isDue && granted > 0 && granted < question.Wanted
            ? question.Overdue.FirstOrDefault(host => !question.Ranked.Take(granted).Any(ranked => ranked.HostId == host.HostId))
            : null;
    }

    /// <summary>Only operations that may go anywhere are compared: how many replicas it takes on named hosts says nothing about the others.</summary>
    private static string? KindOf(SpeculationQuestion question) => question.IsUnbound && question.Wish is { } wish
        ? string.Create(CultureInfo.InvariantCulture, $"{wish.Policy} {wish.Epsilon ?? AdaptiveOptions.Default.Epsilon} of {question.Wanted}")
        : null;

    private static void AddTo(List<Reason> verdicts, Reason? verdict)
    {
        if (verdict is not null)
        {
            verdicts.Add(verdict);
        }
    }
}
