using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.Tests.Replication;

/// <summary>Estimates of failure probabilities: server shrunk to rack, rack to cluster, cluster to its prior; what is old counts less.</summary>
public sealed class FailureRatesTests
{
    private const double HalfLife = 930;

    [Fact]
    public void a_fleet_that_nothing_is_known_of_has_the_priors_mean()
    {
        FailureRates rates = Rates();
        Assert.All(Enumerable.Range(0, 8), server => Assert.Equal(0.05, rates.Of(server), 12));
    }

    [Fact]
    public void a_failure_is_felt_most_by_its_server_then_by_its_rack_then_by_the_cluster()
    {
        FailureRates rates = Rates();
        rates.Observe(0, Evidence.Failed);
        double cluster = 1.5 / 11, rack = ((4 * cluster) + 1) / 5;
        Assert.Equal(((4 * rack) + 1) / 5, rates.Of(0), 12);
        Assert.Equal(rack, rates.Of(1), 12);
        Assert.Equal(cluster, rates.Of(7), 12);
    }

    [Fact]
    public void what_is_censored_changes_nothing()
    {
        FailureRates rates = Rates();
        rates.Observe(3, Evidence.Failed);
        double before = rates.Of(3);
        rates.Observe(3, Evidence.Censored);
        Assert.Equal(before, rates.Of(3));
    }

    [Fact]
    public void an_avoided_server_decays_back_to_the_prior()
    {
        FailureRates rates = Rates();
        rates.Observe(0, Evidence.Failed);
        double fresh = rates.Of(0);
        rates.AdvanceTo(HalfLife);
        double half = rates.Of(0);
        rates.AdvanceTo(30 * HalfLife);
        Assert.True(half < fresh && half > 0.05);
        Assert.Equal(0.05, rates.Of(0), 6);
    }

    [Fact]
    public void it_agrees_with_outcomes_that_are_faded_one_by_one_also_over_thousands_of_half_lives()
    {
        FailureRates rates = Rates();
        DiscountedOutcomes server = default, rack = default, cluster = default;
        Prng random = new(4);
        double now = 0;
        for (int i = 0; i < 20_000; i++)
        {
            now += random.Uniform(0, HalfLife);
            int host = random.NextInt(8);
            bool failed = random.NextInt(3) == 0;
            rates.AdvanceTo(now);
            rates.Observe(host, failed ? Evidence.Failed : Evidence.Succeeded);
            server = host == 0 ? server.With(failed, now, HalfLife) : server.At(now, HalfLife);
            rack = host < 4 ? rack.With(failed, now, HalfLife) : rack.At(now, HalfLife);
            cluster = cluster.With(failed, now, HalfLife);
            double clusterMean = (0.5 + cluster.Failures) / (10 + cluster.Total);
            Assert.Equal(server.ShrunkTo(rack.ShrunkTo(clusterMean, 4), 4), rates.Of(0), 9);
        }

        Assert.Equal(server.Total, rates.ObservationsOf(0), 9);
    }

    [Fact]
    public void time_does_not_go_back()
    {
        DiscountedOutcomes seen = default(DiscountedOutcomes).With(failed: true, 100, HalfLife);
        Assert.Equal(seen, seen.At(50, HalfLife));
        Assert.Equal(0.5, seen.At(100 + HalfLife, HalfLife).Failures, 12);
    }

    private static FailureRates Rates() => new([0, 0, 0, 0, 1, 1, 1, 1], EstimationOptions.Default);
}
