using System.Collections.Immutable;
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

/// <summary>Hosts by how likely they are to fail a replica, ranked by <see cref="AdaptiveReplication"/>; the order in which they are given, that of the named target choice, decides between equals.</summary>
internal static class AdaptiveTargets
{
    /// <summary>The same hosts in another order: the best of each failure domain first, so that what failed one replica is not what the next one meets.</summary>
    public static IEnumerable<HostState> BestFirst(Fleet fleet, IReadOnlyList<HostState> hosts, DateTimeOffset now)
    {
        AdaptiveOptions all = AdaptiveOptions.Default with { MaxReplicas = AdaptiveReplication.MostReplicas };
        return Rank(new FleetFailureRates(fleet, now, EstimationOptions.Default), hosts, all).Select(best => fleet.Hosts[best.HostId]).Union(hosts);
    }

    /// <summary>The best hosts, as many as could be chosen, the best first.</summary>
    public static IReadOnlyList<RankedHost> Rank(FleetFailureRates rates, IReadOnlyList<HostState> preferred, AdaptiveOptions options)
    {
        Dictionary<string, int> domains = new(StringComparer.Ordinal);
        Candidate[] candidates = [.. preferred.Select((host, i) => new Candidate(i, NumberOf(host.FailureDomain), rates.Of(host)))];
        Candidate[] ranked = new Candidate[options.MaxReplicas];
        int found = AdaptiveReplication.Rank(options, candidates, ranked);
        return [.. ranked.Take(found).Select(candidate => new RankedHost(preferred[candidate.Host].HostId, candidate.FailureProbability))];

        int NumberOf(string domain) => domains.TryGetValue(domain, out int number) ? number : domains[domain] = domains.Count;
    }

    /// <summary>
    /// Hosts that are worse than the cluster's mean and of which nothing has been heard for long. Their estimates fall with time, but never below those of hosts that have nothing but
    /// successes: without a probe they would stay behind for ever.
    /// </summary>
    public static IReadOnlyList<OverdueHost> Overdue(Fleet fleet, FleetFailureRates rates, IReadOnlyList<HostState> fitting, SpeculationPolicy policy, DateTimeOffset now)
    {
        if (policy.Probes is not { } options)
        {
            return [];
        }

        double nowSeconds = DiscountedOutcomes.SecondsOf(now);
        return
        [
            .. fitting.Where(host => fleet.Outcomes.ContainsKey(host.HostId) && rates.Of(host) > rates.ClusterMean)
                .Select(host => new OverdueHost(host.HostId, nowSeconds - Math.Max(fleet.Outcomes[host.HostId].AtSeconds, fleet.Speculation.ProbedAtSeconds.GetValueOrDefault(host.HostId))))
                .Where(host => host.UnheardSeconds >= options.AfterSeconds)
                .OrderByDescending(host => host.UnheardSeconds)
                .ThenBy(host => host.HostId, StringComparer.Ordinal)
                .Take(AdaptiveReplication.MostReplicas + 1),
        ];
    }
}
