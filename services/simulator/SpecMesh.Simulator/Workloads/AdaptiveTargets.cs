using SpecMesh.Simulator.Model;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Simulator.Workloads;

/// <summary>What a simulated manager learns from how replicas end, and what it chooses by it with the production's functions: number and targets of the adaptive policy, and the order of a hedge.</summary>
public sealed class AdaptiveTargets
{
    /// <summary>Most servers that are compared for one operation.</summary>
    public const int MostCandidates = 64;

    private readonly FailureRates rates;
    private readonly AdaptiveOptions options;

    /// <summary>With an epsilon that nothing reaches, the choice is a ranking: the best server of each rack first.</summary>
    private readonly AdaptiveOptions ranking, rankingOfAll;

    private readonly int[] rackOf;
    private int before;

    /// <param name="servers">Servers of the cluster.</param>
    /// <param name="parameters">What is asked for.</param>
    public AdaptiveTargets(int servers, Parameters parameters)
    {
        rackOf = new int[servers];
        for (int server = 0; server < servers; server++)
        {
            rackOf[server] = server / parameters.ServersPerRack;
        }

        double meanFailureSeconds = parameters.FaultsOf(0).MeanSeconds;
        rates = new FailureRates(rackOf, EstimationOptions.Default with { HalfLifeSeconds = meanFailureSeconds });
        options = AdaptiveOptions.Default with { Epsilon = parameters.AdaptiveEpsilon, MaxReplicas = parameters.AdaptiveMaxReplicas };
        ranking = options with { Epsilon = 0 };
        rankingOfAll = ranking with { MaxReplicas = Race.MostReplicas };
        Sample = Math.Min(parameters.AdaptiveSample, servers);
    }

    /// <summary>Servers that are compared for one operation.</summary>
    public int Sample { get; }

    /// <summary>A replica's end says something about its server.</summary>
    public void Learn(int server, bool failed, double nowSeconds)
    {
        rates.AdvanceTo(nowSeconds);
        rates.Observe(server, failed ? Evidence.Failed : Evidence.Succeeded);
    }

    /// <summary>The fewest replicas that fail together rarely enough, on the best of these servers.</summary>
    /// <returns>How many there are; their servers stand in front of <paramref name="hosts"/>, the best first.</returns>
    public int Choose(Span<int> hosts, double nowSeconds)
    {
        Span<Candidate> chosen = stackalloc Candidate[Race.MostReplicas];
        before = AdaptiveReplication.Choose(options, Candidates(hosts, nowSeconds, stackalloc Candidate[hosts.Length]), int.MaxValue, before, chosen).Replicas;
        CopyHosts(chosen[..before], hosts);
        return before;
    }

    /// <summary>The replicas that bring a batch of operations to its end soonest, on the best of these servers.</summary>
    /// <param name="hosts">Servers to choose from.</param>
    /// <param name="nowSeconds">Present time.</param>
    /// <param name="operations">Operations of the batch that are left.</param>
    /// <param name="copySeconds">Seconds that their copying takes per replica of each.</param>
    /// <param name="roundSeconds">Seconds until a failed one is tried again.</param>
    public int ChooseSoonest(Span<int> hosts, double nowSeconds, int operations, double copySeconds, double roundSeconds)
    {
        Span<Candidate> chosen = stackalloc Candidate[Race.MostReplicas];
        int ranked = AdaptiveReplication.Choose(ranking, Candidates(hosts, nowSeconds, stackalloc Candidate[hosts.Length]), int.MaxValue, 0, chosen).Replicas;
        double miss = 1;
        foreach (Candidate candidate in chosen[..ranked])
        {
            miss *= Math.Min(options.WorstProbability, options.Caution * candidate.FailureProbability);
        }

        double mean = ranked == 0 ? 0 : Math.Pow(miss, 1.0 / ranked);
        int count = ranked == 0 ? 0 : ReplicationEconomy.Soonest(mean, operations, copySeconds, roundSeconds, ranked).Replicas;
        CopyHosts(chosen[..count], hosts);
        return count;
    }

    /// <summary>Puts servers into the order in which a hedge starts on them, as placement does: the best of each rack first; equals stay as they are.</summary>
    /// <param name="hosts">At most <see cref="Race.MostReplicas"/>.</param>
    /// <param name="nowSeconds">Present time.</param>
    public void BestFirst(Span<int> hosts, double nowSeconds)
    {
        Span<Candidate> ranked = stackalloc Candidate[Race.MostReplicas];
        int count = AdaptiveReplication.Choose(rankingOfAll, Candidates(hosts, nowSeconds, stackalloc Candidate[hosts.Length]), int.MaxValue, 0, ranked).Replicas;
        if (count == hosts.Length)
        {
            CopyHosts(ranked[..count], hosts);
        }
    }

    private Span<Candidate> Candidates(ReadOnlySpan<int> hosts, double nowSeconds, Span<Candidate> candidates)
    {
        rates.AdvanceTo(nowSeconds);
        for (int i = 0; i < hosts.Length; i++)
        {
            candidates[i] = new Candidate(hosts[i], rackOf[hosts[i]], rates.Of(hosts[i]));
        }

        return candidates;
    }

    private static void CopyHosts(ReadOnlySpan<Candidate> chosen, Span<int> hosts)
    {
        for (int i = 0; i < chosen.Length; i++)
        {
            hosts[i] = chosen[i].Host;
        }
    }
}
