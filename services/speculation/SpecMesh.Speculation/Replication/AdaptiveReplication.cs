namespace SpecMesh.Speculation.Replication;

/// <summary>What the adaptive policy is asked for.</summary>
/// <param name="Epsilon">Share of operations that may fail; above 0 and below 1. Default .01 (facts: protocol, section 4).</param>
/// <param name="MaxReplicas">No more replicas than this, from 1 to <see cref="AdaptiveReplication.MostReplicas"/>. Default 5, the largest SQ of the evaluation.</param>
/// <param name="Caution">Factor on each estimate, because they are optimistic about the best of many: 1.25 (facts: protocol, section 4).</param>
/// <param name="WorstProbability">A caution never makes a host worse than this, or a hopeless fleet would get no replicas worth their while: .999 (facts: protocol, section 4).</param>
/// <param name="LowerMargin">Fewer replicas than last time only when they are expected to fail less often than this share of epsilon, so that the number does not swing. 1: no hysteresis. Default .8 (choice).</param>
/// <param name="RepeatDomains">True: when every failure domain has a replica, a second in one domain is better than none.</param>
/// <param name="DelayWorthAttempts">How many further attempts it is worth to save one round's delay; null: epsilon alone decides. See <see cref="ReplicationEconomy"/>.</param>
public sealed record AdaptiveOptions(
    double Epsilon = 0.01,
    int MaxReplicas = 5,
    double Caution = 1.25,
    double WorstProbability = 0.999,
    double LowerMargin = 0.8,
    bool RepeatDomains = true,
    double? DelayWorthAttempts = null)
{
    /// <summary>The values of the facts.</summary>
    public static AdaptiveOptions Default { get; } = new();
}

/// <summary>
/// The fewest replicas that reach the asked-for success: the best host of each of the best failure domains, until the product of their failure probabilities is at most epsilon.
/// Pure and without allocation, for services and simulator alike.
/// </summary>
public static class AdaptiveReplication
{
    /// <summary>The most replicas of one operation.</summary>
    public const int MostReplicas = 16;

    /// <summary>Chooses hosts.</summary>
    /// <param name="options">What is asked for.</param>
    /// <param name="candidates">Hosts with room for a replica, in the order in which equals are preferred.</param>
    /// <param name="budget">Replicas that the cluster can afford now, the first included; below 1 counts as 1, because the first replica is not speculation.</param>
    /// <param name="before">Replicas of the last operation of this kind, for the hysteresis; 0: none known.</param>
    /// <param name="chosen">Where the chosen hosts go, the best first; at least <see cref="AdaptiveOptions.MaxReplicas"/> long.</param>
    /// <returns>How many there are, and why.</returns>
    public static ReplicationVerdict Choose(AdaptiveOptions options, ReadOnlySpan<Candidate> candidates, int budget, int before, Span<Candidate> chosen) =>
        CountOf(options, chosen[..Rank(options, candidates, chosen)], candidates.Length, budget, before);

    /// <summary>The hosts that replicas would go to, one after the other: the best of each of the best failure domains, then second ones.</summary>
    /// <param name="options">What is asked for.</param>
    /// <param name="candidates">Hosts with room for a replica, in the order in which equals are preferred.</param>
    /// <param name="ranked">Where they go; at least <see cref="AdaptiveOptions.MaxReplicas"/> long.</param>
    /// <returns>How many there are.</returns>
    public static int Rank(AdaptiveOptions options, ReadOnlySpan<Candidate> candidates, Span<Candidate> ranked)
    {
        int most = MostOf(options, candidates.Length);
        int found = BestOfEachDomain(candidates, ranked[..most]);
        return found < most && options.RepeatDomains ? AddRepeats(candidates, ranked[..most], found) : found;
    }

    /// <summary>How many of the ranked hosts are enough.</summary>
    /// <param name="options">What is asked for.</param>
    /// <param name="ranked">What <see cref="Rank"/> found.</param>
    /// <param name="candidates">How many hosts it was found among.</param>
    /// <param name="budget">Replicas that the cluster can afford now, the first included.</param>
    /// <param name="before">Replicas of the last operation of this kind; 0: none known.</param>
    public static ReplicationVerdict CountOf(AdaptiveOptions options, ReadOnlySpan<Candidate> ranked, int candidates, int budget, int before)
    {
        int affordable = Math.Max(1, budget);
        double miss = 1;
        for (int k = 0; k < ranked.Length; k++)
        {
            double epsilon = k < before ? options.Epsilon * options.LowerMargin : options.Epsilon;
            if (k > 0 && miss <= epsilon)
            {
                return new(k, "epsilon-reached", "These replicas are expected to fail together rarely enough.", miss, options.Epsilon);
            }

            if (k >= affordable)
            {
                return new(k, "budget-empty", "The budget for speculative work allows no more.", miss, options.Epsilon);
            }

            double next = Cautious(options, ranked[k].FailureProbability);
            if (k > 0 && options.DelayWorthAttempts is { } worth && !ReplicationEconomy.IsWorthIt(Math.Pow(miss * next, 1.0 / (k + 1)), k, worth))
            {
                return new(k, "not-worth-it", "One replica more costs more attempts than the delay that it saves is worth.", miss, options.Epsilon);
            }

            miss *= next;
        }

        int most = MostOf(options, candidates);
        return (ranked.Length, miss <= options.Epsilon) switch
        {
            (0, _) => new(0, "no-fitting-hosts", "No host has room.", 1, options.Epsilon),
            (_, true) => new(ranked.Length, "epsilon-reached", "These replicas are expected to fail together rarely enough.", miss, options.Epsilon),
            _ when ranked.Length == most && most < candidates => new(ranked.Length, "most-replicas", "No more replicas are allowed.", miss, options.Epsilon),
            _ => new(ranked.Length, "no-more-hosts", "No more hosts, or failure domains, have room.", miss, options.Epsilon),
        };
    }

    private static int MostOf(AdaptiveOptions options, int candidates) => Math.Min(Math.Min(options.MaxReplicas, MostReplicas), candidates);

    private static double Cautious(AdaptiveOptions options, double probability) => Math.Min(options.WorstProbability, options.Caution * probability);

    /// <summary>One pass: the best candidate of each domain, of these the best, in order. Equals stay in the order of the candidates.</summary>
    private static int BestOfEachDomain(ReadOnlySpan<Candidate> candidates, Span<Candidate> best)
    {
        int found = 0;
        foreach (Candidate candidate in candidates)
        {
            if (found == best.Length && (found == 0 || candidate.FailureProbability >= best[found - 1].FailureProbability))
            {
                continue;
            }

            int same = IndexOfDomain(best[..found], candidate.Domain);
            if (same >= 0)
            {
                if (candidate.FailureProbability >= best[same].FailureProbability)
                {
                    continue;
                }

                best[(same + 1)..found].CopyTo(best[same..]);
                found--;
            }

            found = Insert(candidate, best, found);
        }

        return found;
    }

    private static int AddRepeats(ReadOnlySpan<Candidate> candidates, Span<Candidate> best, int found)
    {
        int firstRepeat = found;
        foreach (Candidate candidate in candidates)
        {
            bool isIn = best[..firstRepeat].Contains(candidate);
            if (!isIn && (found < best.Length || candidate.FailureProbability < best[found - 1].FailureProbability))
            {
                found = firstRepeat + Insert(candidate, best[firstRepeat..], found - firstRepeat);
            }
        }

        return found;
    }

    /// <summary>Behind its equals; the last falls out when there is no room.</summary>
    private static int Insert(Candidate candidate, Span<Candidate> best, int found)
    {
        int at = found;
        while (at > 0 && candidate.FailureProbability < best[at - 1].FailureProbability)
        {
            at--;
        }

        int after = Math.Min(found + 1, best.Length);
        best[at..(after - 1)].CopyTo(best[(at + 1)..]);
        best[at] = candidate;
        return after;
    }

    private static int IndexOfDomain(ReadOnlySpan<Candidate> candidates, int domain)
    {
        for (int i = 0; i < candidates.Length; i++)
        {
            if (candidates[i].Domain == domain)
            {
                return i;
            }
        }

        return -1;
    }
}
