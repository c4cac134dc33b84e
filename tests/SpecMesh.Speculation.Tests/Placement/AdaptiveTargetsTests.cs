using SpecMesh.Contracts;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.Replication;
using static SpecMesh.Speculation.Tests.Placement.Given;

namespace SpecMesh.Speculation.Tests.Placement;

/// <summary>Placement chooses the number of hosts where the request names an epsilon, from what is counted of each host, its failure domain and the cluster.</summary>
public sealed class AdaptiveTargetsTests
{
    private static readonly ReplicationWish Wish = new("adaptive", 0.01, 5);

    private static readonly Fleet Racks = FleetOf(Host("a1", "a"), Host("a2", "a"), Host("b1", "b"), Host("b2", "b"), Host("c1", "c"), Host("d1", "d"), Host("e1", "e"), Host("f1", "f"));

    [Fact]
    public void a_fleet_that_nothing_is_known_of_gets_two_replicas_in_two_domains()
    {
        TargetsReserved reserved = Reserved(PlacementDecider.Decide(Racks, Adaptive(1), Now));
        Assert.Equal(2, reserved.HostIds.Count);
        Assert.Equal(2, reserved.HostIds.Select(host => host[0]).Distinct().Count());
        Assert.Equal((Math.Round(0.0625 * 0.0625, 6), 0.01), (reserved.Reason.Observed, reserved.Reason.Limit));
        Assert.Contains("epsilon-reached", reserved.Reason.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void hosts_that_have_succeeded_often_are_enough_alone()
    {
        Fleet proven = Racks with { Outcomes = Racks.Outcomes.Add("c1", new DiscountedOutcomes(0, 60, DiscountedOutcomes.SecondsOf(Now))) };
        Assert.Equal(["c1"], Reserved(PlacementDecider.Decide(proven, Adaptive(1), Now)).HostIds);
    }

    [Fact]
    public void a_failing_fleet_gets_the_most_and_its_failing_domain_none()
    {
        DiscountedOutcomes bad = new(8, 2, DiscountedOutcomes.SecondsOf(Now));
        Fleet failing = Racks with { Outcomes = Racks.Outcomes.Add("a1", new DiscountedOutcomes(30, 0, bad.AtSeconds)).Add("b1", bad).Add("c1", bad).Add("d1", bad).Add("e1", bad).Add("f1", bad) };
        TargetsReserved reserved = Reserved(PlacementDecider.Decide(failing, Adaptive(1), Now));
        Assert.Equal(["b2", "c1", "d1", "e1", "f1"], reserved.HostIds);
        Assert.Contains("most-replicas", reserved.Reason.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void what_is_long_ago_is_forgotten()
    {
        Fleet failing = Racks with { Outcomes = Racks.Outcomes.Add("b1", new DiscountedOutcomes(50, 0, DiscountedOutcomes.SecondsOf(Now.AddDays(-1)))) };
        Assert.Equal(2, Reserved(PlacementDecider.Decide(failing, Adaptive(1), Now)).HostIds.Count);
    }

    [Fact]
    public void the_same_request_gets_the_same_hosts_again()
    {
        PlacementDecision decision = PlacementDecider.Decide(Racks, Adaptive(1), Now);
        Assert.Equal(Reserved(decision).HostIds, Reserved(PlacementDecider.Decide(Racks.Evolve(decision), Adaptive(1), Now)).HostIds);
    }

    [Fact]
    public void hosts_without_room_are_no_candidates()
    {
        Fleet full = FleetOf(Host("a1", "a", Gibibyte / 2), Host("b1", "b"));
        Assert.Equal(["b1"], Reserved(PlacementDecider.Decide(full, Adaptive(1), Now)).HostIds);
        Refused(PlacementDecider.Decide(FleetOf(Host("a1", "a", Gibibyte / 2)), Adaptive(1), Now));
    }

    [Theory]
    [InlineData("a1 c1 f1", "f1 c1 a1")]
    [InlineData("c1 f1 b1 b2", "f1 b1 c1 b2")]
    public void a_hedge_starts_on_the_best_hosts_first_and_in_another_domain_before_it_comes_back_to_one(string allowed, string order)
    {
        double now = DiscountedOutcomes.SecondsOf(Now);
        Fleet known = Racks with { Outcomes = Racks.Outcomes.Add("f1", new DiscountedOutcomes(0, 60, now)).Add("a1", new DiscountedOutcomes(9, 3, now)).Add("b1", new DiscountedOutcomes(0, 20, now)).Add("b2", new DiscountedOutcomes(0, 15, now)) };
        string[] hosts = allowed.Split(' ');
        SelectTargets request = Select(1, hosts.Length, allowed: hosts) with { Replication = new ReplicationWish("hedged", HedgeDelaySeconds: 20) };
        PlacementDecision decision = PlacementDecider.Decide(known, request, Now);
        Assert.Equal(order.Split(' '), Reserved(decision).HostIds);
        // Asked again, the best is still the first; where all start at once the order is that of the ids.
        Assert.Equal(order.Split(' '), Reserved(PlacementDecider.Decide(known.Evolve(decision), request, Now)).HostIds);
        Assert.Equal(hosts.Order(StringComparer.Ordinal), Reserved(PlacementDecider.Decide(known, request with { Replication = null }, Now)).HostIds);
    }

    [Fact]
    public void estimates_of_names_are_those_of_numbers()
    {
        FailureRates numbered = new([0, 0, 1, 1, 2, 3, 4, 5], EstimationOptions.Default);
        Fleet named = Racks;
        Prng random = new(3);
        string[] hosts = [.. Racks.Hosts.Keys];
        for (int i = 0; i < 500; i++)
        {
            DateTimeOffset at = Now.AddSeconds(i * 20);
            int host = random.NextInt(hosts.Length);
            bool failed = random.NextInt(4) == 0;
            numbered.AdvanceTo(i * 20);
            numbered.Observe(host, failed ? Evidence.Failed : Evidence.Succeeded);
            DiscountedOutcomes before = named.Outcomes.GetValueOrDefault(hosts[host]);
            named = named with { Outcomes = named.Outcomes.SetItem(hosts[host], before.With(failed, DiscountedOutcomes.SecondsOf(at), 930)) };
        }

        FleetFailureRates rates = new(named, Now.AddSeconds(499 * 20), EstimationOptions.Default);
        Assert.All(Enumerable.Range(0, hosts.Length), host => Assert.Equal(numbered.Of(host), rates.Of(named.Hosts[hosts[host]]), 9));
    }

    private static SelectTargets Adaptive(int operation) => Select(operation, 5, acceptFewer: true) with { Replication = Wish };
}
