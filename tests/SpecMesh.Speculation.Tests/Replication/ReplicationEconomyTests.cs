using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.Tests.Replication;

/// <summary>What one replica more costs and saves (facts: protocol, sections 1 and 4; simulation, section 2, rolling upgrade).</summary>
public sealed class ReplicationEconomyTests
{
    /// <summary>About 20 machines of 4.3 GB leave over an uplink of 1.25 GB/s; a failed move waits for 300 s.</summary>
    private const int Machines = 20;
    private const double CopySeconds = Machines * 4.3 / 1.25, RoundSeconds = 300;

    [Theory]
    [InlineData(0, 1)]
    [InlineData(0.05, 2)]
    [InlineData(0.1, 2)]
    [InlineData(0.12, 2)]
    [InlineData(0.2, 3)]
    [InlineData(0.3, 4)]
    [InlineData(0.45, 5)]
    public void the_best_number_for_an_evacuation_is_the_one_that_the_evaluation_found(double p, int replicas)
    {
        Assert.Equal(replicas, ReplicationEconomy.Soonest(p, Machines, CopySeconds, RoundSeconds, 5).Replicas);
    }

    [Fact]
    public void a_verdict_tells_both_times()
    {
        ReplicationVerdict verdict = ReplicationEconomy.Soonest(0.1, Machines, CopySeconds, RoundSeconds, 5);
        Assert.Equal("soonest", verdict.Code);
        Assert.True(verdict.Observed < verdict.Limit);
    }

    [Theory]
    [InlineData(0.1, 1)]
    [InlineData(0.3, 2)]
    [InlineData(0.5, 4)]
    public void rounds_saved_are_the_difference_of_the_rounds(double p, int k)
    {
        double Rounds(int replicas) => 1 / (1 - Math.Pow(p, replicas));
        Assert.Equal(Rounds(k) - Rounds(k + 1), ReplicationEconomy.RoundsSaved(p, k), 12);
    }

    [Fact]
    public void the_economic_trigger_stops_where_a_replica_costs_more_than_its_delay_is_worth()
    {
        Assert.True(ReplicationEconomy.IsWorthIt(0.3, 1, 100));
        Assert.False(ReplicationEconomy.IsWorthIt(0.3, 1, 1));
        AdaptiveOptions options = new(DelayWorthAttempts: 1);
        Candidate[] candidates = [.. Enumerable.Range(0, 9).Select(host => new Candidate(host, host, 0.3))];
        ReplicationVerdict verdict = AdaptiveReplication.Choose(options, candidates, 9, 0, new Candidate[5]);
        Assert.Equal((1, "not-worth-it"), (verdict.Replicas, verdict.Code));
        Assert.Equal(5, AdaptiveReplication.Choose(options with { DelayWorthAttempts = 1e6 }, candidates, 9, 0, new Candidate[5]).Replicas);
    }

    [Fact]
    public void further_rounds_of_one_operation_are_those_of_a_geometric_distribution() => Assert.Equal(0.25 / 0.75, ReplicationEconomy.FurtherRounds(0.25, 1), 9);
}
