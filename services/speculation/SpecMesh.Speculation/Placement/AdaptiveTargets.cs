using System.Collections.Immutable;
using SpecMesh.Contracts;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.Placement;

/// <summary>
/// Failure probabilities of a fleet's hosts, from what <c>health-{id}</c> has counted: each host shrunk to its failure domain, each domain to the cluster, as
/// <see cref="FailureRates"/> does for numbered servers.
/// </summary>
public sealed class FleetFailureRates
{
    private readonly Dictionary<string, double> domainMeans = new(StringComparer.Ordinal);
    private readonly Fleet fleet;
    private readonly double nowSeconds;
    private readonly EstimationOptions options;

    /// <summary>The estimates at one instant.</summary>
    public FleetFailureRates(Fleet fleet, DateTimeOffset now, EstimationOptions options)
    {
        ArgumentNullException.ThrowIfNull(fleet);
        this.fleet = fleet;
        this.options = options;
        nowSeconds = DiscountedOutcomes.SecondsOf(now);
        List<HostState> hosts = [.. fleet.Hosts.Values];
        DiscountedOutcomes all = Sum(hosts);
        ClusterMean = (options.PriorFailures + all.Failures) / (options.PriorFailures + options.PriorSuccesses + all.Total);
        foreach (IGrouping<string, HostState> domain in hosts.GroupBy(host => host.FailureDomain, StringComparer.Ordinal))
        {
            domainMeans[domain.Key] = Sum(domain).ShrunkTo(ClusterMean, options.PseudoObservations);
        }
    }

    /// <summary>Probability that a replica fails on a host that nothing is known of, in a failure domain that nothing is known of.</summary>
    public double ClusterMean { get; }

    /// <summary>Probability that a replica fails on this host.</summary>
    public double Of(HostState host) => OutcomesOf(host).ShrunkTo(domainMeans[host.FailureDomain], options.PseudoObservations);

    private DiscountedOutcomes Sum(IEnumerable<HostState> hosts) =>
        hosts.Aggregate(new DiscountedOutcomes(0, 0, nowSeconds), (sum, host) => sum.Plus(OutcomesOf(host)));

    private DiscountedOutcomes OutcomesOf(HostState host) => fleet.Outcomes.GetValueOrDefault(host.HostId).At(nowSeconds, options.HalfLifeSeconds);
}

/// <summary>Hosts by how likely they are to fail a replica, chosen by <see cref="AdaptiveReplication"/>; the order in which they are given, that of the named target choice, decides between equals.</summary>
internal static class AdaptiveTargets
{
    /// <summary>The same hosts in another order: the best of each failure domain first, so that what failed one replica is not what the next one meets.</summary>
    public static IEnumerable<HostState> BestFirst(Fleet fleet, IReadOnlyList<HostState> hosts, DateTimeOffset now)
    {
        // Nothing reaches an epsilon of 0, so that all are ranked.
        AdaptiveOptions ranking = AdaptiveOptions.Default with { Epsilon = 0, MaxReplicas = AdaptiveReplication.MostReplicas };
        Candidate[] ranked = new Candidate[AdaptiveReplication.MostReplicas];
        int count = AdaptiveReplication.Choose(ranking, CandidatesOf(fleet, hosts, now), int.MaxValue, before: 0, ranked).Replicas;
        return ranked.Take(count).Select(candidate => hosts[candidate.Host]).Union(hosts);
    }

    /// <summary>The fewest hosts that are expected to reach an epsilon.</summary>
    public static (IReadOnlyList<HostState> Chosen, ReplicationVerdict Verdict) Choose(
        Fleet fleet, IReadOnlyList<HostState> preferred, SelectTargets command, ReplicationWish wish, DateTimeOffset now)
    {
        Candidate[] candidates = CandidatesOf(fleet, preferred, now);
        AdaptiveOptions options = AdaptiveOptions.Default with { Epsilon = wish.Epsilon ?? AdaptiveOptions.Default.Epsilon, MaxReplicas = command.Count };
        Candidate[] chosen = new Candidate[command.Count];
        ReplicationVerdict verdict = AdaptiveReplication.Choose(options, candidates, command.Count, before: 0, chosen);
        return ([.. chosen.Take(verdict.Replicas).Select(candidate => preferred[candidate.Host])], verdict);
    }

    private static Candidate[] CandidatesOf(Fleet fleet, IReadOnlyList<HostState> hosts, DateTimeOffset now)
    {
        FleetFailureRates rates = new(fleet, now, EstimationOptions.Default);
        Dictionary<string, int> domains = new(StringComparer.Ordinal);
        return [.. hosts.Select((host, i) => new Candidate(i, NumberOf(host.FailureDomain), rates.Of(host)))];

        int NumberOf(string domain) => domains.TryGetValue(domain, out int number) ? number : domains[domain] = domains.Count;
    }
}
