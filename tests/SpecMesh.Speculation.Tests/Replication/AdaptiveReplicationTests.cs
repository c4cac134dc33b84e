using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.Tests.Replication;

/// <summary>DESIGN section 9: "adaptive (failure rates per server, rack and cluster; fewest replicas that reach the asked-for success, distinct failure domains, budget, hysteresis)".</summary>
public sealed class AdaptiveReplicationTests
{
    private static readonly AdaptiveOptions Options = AdaptiveOptions.Default;

    [Theory]
    [InlineData(0.004, 1, "epsilon-reached")]
    [InlineData(0.008, 1, "epsilon-reached")]
    [InlineData(0.0081, 2, "epsilon-reached")]
    [InlineData(0.1, 3, "epsilon-reached")]
    [InlineData(0.3, 5, "epsilon-reached")]
    [InlineData(0.4, 5, "most-replicas")]
    [InlineData(1, 5, "most-replicas")]
    public void it_takes_the_fewest_replicas_that_fail_together_rarely_enough(double probability, int replicas, string code)
    {
        ReplicationVerdict verdict = Choose(Options, Fleet(20, probability));
        Assert.Equal((replicas, code, 0.01), (verdict.Replicas, verdict.Code, verdict.Limit));
        Assert.Equal(Math.Pow(Math.Min(0.999, 1.25 * probability), replicas), verdict.Observed, 12);
    }

    [Fact]
    public void it_takes_the_best_host_of_each_of_the_best_domains()
    {
        Candidate[] candidates = [new(0, 0, 0.2), new(1, 1, 0.1), new(2, 1, 0.05), new(3, 2, 0.3), new(4, 0, 0.15), new(5, 3, 0.9)];
        Candidate[] chosen = new Candidate[3];
        AdaptiveReplication.Choose(Options with { MaxReplicas = 3, Epsilon = 1e-9 }, candidates, 9, 0, chosen);
        Assert.Equal([2, 4, 3], chosen.Select(candidate => candidate.Host));
    }

    [Fact]
    public void equals_stay_in_the_order_of_preference()
    {
        Candidate[] candidates = [.. new[] { 7, 3, 9, 1 }.Select(host => new Candidate(host, host, 0.5))];
        Candidate[] chosen = new Candidate[5];
        ReplicationVerdict verdict = AdaptiveReplication.Choose(Options, candidates, 9, 0, chosen);
        Assert.Equal([7, 3, 9, 1], chosen[..verdict.Replicas].Select(candidate => candidate.Host));
        Assert.Equal("no-more-hosts", verdict.Code);
    }

    [Theory]
    [InlineData(true, 4)]
    [InlineData(false, 2)]
    public void a_second_replica_in_a_domain_is_taken_only_when_every_domain_has_one(bool repeat, int replicas)
    {
        Candidate[] candidates = [new(0, 0, 0.5), new(1, 0, 0.5), new(2, 0, 0.4), new(3, 1, 0.9)];
        Candidate[] chosen = new Candidate[5];
        ReplicationVerdict verdict = AdaptiveReplication.Choose(Options with { RepeatDomains = repeat }, candidates, 9, 0, chosen);
        Assert.Equal(((int[])[2, 3, 0, 1])[..replicas], chosen[..verdict.Replicas].Select(candidate => candidate.Host));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(-3, 1)]
    public void an_empty_budget_leaves_the_first_replica(int budget, int replicas)
    {
        ReplicationVerdict verdict = Choose(Options, Fleet(20, 0.5), budget);
        Assert.Equal((replicas, "budget-empty"), (verdict.Replicas, verdict.Code));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(5, 2)]
    public void the_number_falls_only_with_a_margin(int before, int replicas)
    {
        // One replica fails with .009: enough for epsilon, not for four fifths of it.
        Assert.Equal(replicas, Choose(Options, Fleet(20, 0.0072), before: before).Replicas);
        Assert.Equal(1, Choose(Options, Fleet(20, 0.006), before: before).Replicas);
    }

    [Fact]
    public void no_host_gives_no_replica() => Assert.Equal((0, "no-fitting-hosts"), (Choose(Options, []).Replicas, Choose(Options, []).Code));

    [Fact]
    public void choosing_allocates_nothing()
    {
        Candidate[] candidates = Fleet(1024, 0.3);
        Candidate[] chosen = new Candidate[5];
        AdaptiveReplication.Choose(Options, candidates, 9, 0, chosen);
        long before = GC.GetAllocatedBytesForCurrentThread();
        AdaptiveReplication.Choose(Options, candidates, 9, 0, chosen);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void it_agrees_with_sorting_everything()
    {
        Prng random = new(20261122);
        for (int round = 0; round < 300; round++)
        {
            Candidate[] candidates = [.. Enumerable.Range(0, 1 + random.NextInt(60)).Select(host => new Candidate(host, random.NextInt(8), random.NextInt(20) / 20.0))];
            int[] best = [.. candidates.OrderBy(c => c.FailureProbability).DistinctBy(c => c.Domain).Take(6).Select(c => c.Host)];
            Candidate[] chosen = new Candidate[6];
            ReplicationVerdict verdict = AdaptiveReplication.Choose(Options with { MaxReplicas = 6, Epsilon = 1e-300, RepeatDomains = false, LowerMargin = 1 }, candidates, 9, 0, chosen);
            Assert.Equal(best[..verdict.Replicas], chosen[..verdict.Replicas].Select(c => c.Host));
        }
    }

    private static Candidate[] Fleet(int hosts, double probability) => [.. Enumerable.Range(0, hosts).Select(host => new Candidate(host, host, probability))];

    private static ReplicationVerdict Choose(AdaptiveOptions options, Candidate[] candidates, int budget = 99, int before = 0) =>
        AdaptiveReplication.Choose(options, candidates, budget, before, new Candidate[options.MaxReplicas]);
}
