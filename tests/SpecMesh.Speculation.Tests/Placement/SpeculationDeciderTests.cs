using System.Collections.Immutable;
using System.Text.Json;
using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.Replication;
using static SpecMesh.Speculation.Tests.Placement.Given;

namespace SpecMesh.Speculation.Tests.Placement;

/// <summary>What one operation leaves behind for the number of the next one's replicas: the budget, the hysteresis, the probes.</summary>
public sealed class SpeculationDeciderTests
{
    private static readonly Fleet Racks = FleetOf(Host("a1", "a"), Host("b1", "b"), Host("c1", "c"), Host("d1", "d"), Host("e1", "e"), Host("f1", "f"));

    private static readonly SpeculationPolicy Tight = SpeculationPolicy.Default with { Budget = new BudgetOptions(Share: 0.5, Burst: 3, PerSecond: 0) };

    [Fact]
    public void without_a_budget_a_number_that_was_asked_for_leaves_nothing_behind()
    {
        PlacementDecision decision = PlacementDecider.Decide(Racks, Select(1, 4), Now);
        Assert.Equal(4, Reserved(decision).HostIds.Count);
        Assert.Null(decision.Speculation);
        Assert.Null(Reserved(decision).Verdicts);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("hedged")]
    public void a_budget_bounds_all_replicas_beyond_the_first_whoever_has_asked_for_them(string? policy)
    {
        // A burst of 3 and half a replica for each operation: 3, then what the operations before have earned.
        Fleet fleet = Racks;
        List<int> granted = [];
        for (int i = 1; i <= 6; i++)
        {
            SelectTargets command = Select(i, 4, acceptFewer: true) with { Replication = policy is null ? null : new ReplicationWish(policy, HedgeDelaySeconds: 1) };
            PlacementDecision decision = PlacementDecider.Decide(fleet, command, Now, Tight);
            granted.Add(Reserved(decision).HostIds.Count);
            fleet = fleet.Evolve(decision);
        }

        Assert.Equal([4, 1, 2, 1, 2, 1], granted);
    }

    [Fact]
    public void a_cut_says_what_was_wanted_and_what_is_allowed()
    {
        Fleet spent = Racks with { Speculation = SpeculationState.None with { Budget = new SpeculationBudget(0.6, DiscountedOutcomes.SecondsOf(Now)) } };
        PlacementDecision decision = PlacementDecider.Decide(spent, Select(1, 4, acceptFewer: true), Now, Tight);
        Reason verdict = Assert.Single(Reserved(decision).Verdicts!);
        Assert.Equal(("speculation-budget", 4.0, 2.0), (verdict.Code, verdict.Observed, verdict.Limit));
        Assert.Contains(verdict.Detail, Reserved(decision).Reason.Detail, StringComparison.Ordinal);
        Assert.Equal(0.1, decision.Speculation!.Decided.BudgetReplicas!.Value, 9);
    }

    [Fact]
    public void who_takes_no_fewer_is_refused_and_has_spent_nothing()
    {
        Fleet spent = Racks with { Speculation = SpeculationState.None with { Budget = new SpeculationBudget(0, DiscountedOutcomes.SecondsOf(Now)) } };
        PlacementDecision decision = PlacementDecider.Decide(spent, Select(1, 4), Now, Tight);
        Assert.Equal(("speculation-budget", 4.0, 1.0), (Refused(decision).Reason.Code, Refused(decision).Reason.Observed, Refused(decision).Reason.Limit));
        Assert.Null(decision.Speculation);
    }

    [Fact]
    public void the_first_replica_is_never_refused_for_a_debt()
    {
        Fleet indebted = Racks with { Speculation = SpeculationState.None with { Budget = new SpeculationBudget(-100, DiscountedOutcomes.SecondsOf(Now)) } };
        Assert.Single(Reserved(PlacementDecider.Decide(indebted, Select(1, 4, acceptFewer: true), Now, Tight)).HostIds);
    }

    [Fact]
    public void the_same_request_again_spends_nothing()
    {
        PlacementDecision first = PlacementDecider.Decide(Racks, Select(1, 4, acceptFewer: true), Now, Tight);
        PlacementDecision again = PlacementDecider.Decide(Racks.Evolve(first), Select(1, 4, acceptFewer: true), Now, Tight);
        Assert.Equal(Reserved(first).HostIds, Reserved(again).HostIds);
        Assert.Null(again.Speculation);
    }

    [Fact]
    public void an_adaptive_operation_gets_what_the_budget_leaves_and_says_what_that_costs()
    {
        Fleet spent = Racks with { Speculation = SpeculationState.None with { Budget = new SpeculationBudget(0, DiscountedOutcomes.SecondsOf(Now)) } };
        PlacementDecision decision = PlacementDecider.Decide(spent, Adaptive(1, 0.01), Now, Tight);
        Assert.Single(Reserved(decision).HostIds);
        Assert.Equal([("budget-empty", 0.0625, 0.01), ("speculation-budget", 2, 1)], Reserved(decision).Verdicts!.Select(verdict => (verdict.Code, verdict.Observed!.Value, verdict.Limit!.Value)));
        Assert.Equal(2, decision.Speculation!.Decided.WantedReplicas);
    }

    [Fact]
    public void the_number_falls_only_by_a_margin()
    {
        // One host is expected to fail with .0625: enough alone for an epsilon of .065, but not by a fifth.
        PlacementDecision alone = PlacementDecider.Decide(Racks, Adaptive(1, 0.065), Now);
        Assert.Single(Reserved(alone).HostIds);
        PlacementDecision after = PlacementDecider.Decide(After(2, "adaptive 0.065 of 5"), Adaptive(2, 0.065), Now);
        Assert.Equal(2, Reserved(after).HostIds.Count);
        Reason held = Reserved(after).Verdicts!.Single(verdict => verdict.Code == "hysteresis");
        Assert.Equal((0.0625, 0.052), (held.Observed, held.Limit));

        Assert.Single(Reserved(PlacementDecider.Decide(After(2, "adaptive 0.065 of 5"), Adaptive(2, 0.08), Now)).HostIds);
        Assert.Single(Reserved(PlacementDecider.Decide(After(2, "adaptive 0.065 of 5"), Adaptive(2, 0.065), Now, SpeculationPolicy.Default with { LowerMargin = 1 })).HostIds);
    }

    [Fact]
    public void named_targets_are_not_compared_with_any_host()
    {
        SelectTargets named = Adaptive(2, 0.065) with { Allowed = ["a1", "b1", "c1"] };
        PlacementDecision decision = PlacementDecider.Decide(After(2, "adaptive 0.065 of 5"), named, Now);
        Assert.Single(Reserved(decision).HostIds);
        Assert.Null(decision.Speculation!.Decided.Kind);
        Assert.Equal(2, SpeculationState.Evolve(After(2, "adaptive 0.065 of 5").Speculation, decision.Speculation.Decided).ReplicasBefore("adaptive 0.065 of 5"));
    }

    [Fact]
    public void what_the_budget_cut_is_not_taken_for_what_was_enough()
    {
        Fleet spent = Racks with { Speculation = SpeculationState.None with { Budget = new SpeculationBudget(0, DiscountedOutcomes.SecondsOf(Now)) } };
        Fleet after = spent.Evolve(PlacementDecider.Decide(spent, Adaptive(1, 0.01), Now, Tight));
        Assert.Equal(2, after.Speculation.ReplicasBefore("adaptive 0.01 of 5"));
    }

    [Fact]
    public void kinds_that_nobody_asks_for_any_more_are_forgotten()
    {
        SpeculationState state = SpeculationState.None;
        for (int i = 0; i < SpeculationState.RememberedKinds + 5; i++)
        {
            state = SpeculationState.Evolve(state, Decided(i + 1, $"kind {i}"));
        }

        Assert.Equal(SpeculationState.RememberedKinds, state.Kinds.Count);
        Assert.Equal(0, state.ReplicasBefore("kind 4"));
        Assert.Equal(6, state.ReplicasBefore("kind 5"));
    }

    [Fact]
    public void an_avoided_host_is_tried_again_by_one_replica_more_when_nothing_was_heard_of_it_for_long()
    {
        TargetsReserved early = Reserved(PlacementDecider.Decide(Avoiding("d1", heardSecondsAgo: 929), Adaptive(1, 0.01), Now));
        PlacementDecision late = PlacementDecider.Decide(Avoiding("d1", heardSecondsAgo: 931), Adaptive(1, 0.01), Now);

        Assert.NotEqual("d1", Assert.Single(early.HostIds));
        Assert.Equal([.. early.HostIds.Append("d1").Order()], Reserved(late).HostIds);
        Reason probe = Reserved(late).Verdicts!.Single(verdict => verdict.Code == "probe");
        Assert.Equal((931.0, 930.0), (probe.Observed, probe.Limit));
        Assert.Equal("d1", late.Speculation!.Decided.ProbedHostId);
    }

    [Fact]
    public void probes_are_apart_in_time_and_none_is_repeated_at_once()
    {
        Fleet fleet = Avoiding("d1", 2000);
        fleet = fleet with { Outcomes = fleet.Outcomes.SetItem("e1", Bad(1000)) };
        List<string?> probed = [];
        foreach (double seconds in new double[] { 0, 59, 61, 130, 931, 992 })
        {
            PlacementDecision decision = PlacementDecider.Decide(fleet, Adaptive(probed.Count + 1, 0.01), Now.AddSeconds(seconds));
            probed.Add(decision.Speculation!.Decided.ProbedHostId);
            fleet = fleet.Evolve(decision);
        }

        Assert.Equal(["d1", null, "e1", null, "d1", "e1"], probed);
    }

    [Fact]
    public void a_probe_is_paid_from_the_budget_and_never_takes_another_replica_s_place()
    {
        SpeculationPolicy none = SpeculationPolicy.Default with { Budget = new BudgetOptions(0, 0, 0) };
        Assert.DoesNotContain("d1", Reserved(PlacementDecider.Decide(Avoiding("d1", 2000), Adaptive(1, 0.01), Now, none)).HostIds);
        SpeculationPolicy one = SpeculationPolicy.Default with { Budget = new BudgetOptions(0, 1, 0) };
        PlacementDecision paid = PlacementDecider.Decide(Avoiding("d1", 2000), Adaptive(1, 0.01), Now, one);
        Assert.Contains("d1", Reserved(paid).HostIds);
        Assert.Equal(0, paid.Speculation!.Decided.BudgetReplicas);
        Assert.DoesNotContain("d1", Reserved(PlacementDecider.Decide(Avoiding("d1", 2000), Adaptive(1, 0.01) with { Count = 1 }, Now)).HostIds);
        Assert.DoesNotContain("d1", Reserved(PlacementDecider.Decide(Avoiding("d1", 2000), Adaptive(1, 0.01), Now, SpeculationPolicy.Default with { Probes = null })).HostIds);
    }

    [Fact]
    public void a_host_without_a_bad_record_is_not_probed()
    {
        Fleet proven = Racks with { Outcomes = Racks.Outcomes.Add("c1", new DiscountedOutcomes(0, 60, DiscountedOutcomes.SecondsOf(Now.AddSeconds(-5000)))) };
        Assert.Null(PlacementDecider.Decide(proven, Adaptive(1, 0.01), Now).Speculation!.Decided.ProbedHostId);
    }

    /// <summary>DESIGN section 5: what is recorded, decided again from its record, gives the same events.</summary>
    [Fact]
    public void every_recorded_answer_is_given_again_from_its_question()
    {
        Prng random = new(5);
        Fleet fleet = Racks with { Outcomes = Racks.Outcomes.Add("f1", Bad(2000)) };
        List<(string Question, SpeculationDecided Decided)> recorded = [];
        for (int i = 1; i <= 400; i++)
        {
            DateTimeOffset at = Now.AddSeconds(i * 40);
            string host = random.Shuffle(Racks.Hosts.Keys.Except(["f1"]))[0];
            fleet = fleet with { Outcomes = fleet.Outcomes.SetItem(host, fleet.Outcomes.GetValueOrDefault(host).With(random.NextInt(5) == 0, DiscountedOutcomes.SecondsOf(at), 930)) };
            SpeculationPolicy policy = random.NextInt(2) == 0 ? Tight : SpeculationPolicy.Default;
            PlacementDecision decision = PlacementDecider.Decide(fleet, random.NextInt(3) == 0 ? Select(i, 3, acceptFewer: true) with { LeaseUntil = Now.AddDays(1) } : Adaptive(i, random.NextInt(2) == 0 ? 0.01 : 0.06), at, policy);
            fleet = decision.Speculation is null ? fleet : fleet with { Speculation = fleet.Evolve(decision).Speculation };
            if (decision.Speculation is { } step)
            {
                recorded.Add((JsonSerializer.Serialize(step.Question, ContractJson.Options), step.Decided));
            }
        }

        SpeculationState state = SpeculationState.None;
        foreach ((string question, SpeculationDecided decided) in recorded)
        {
            SpeculationDecided again = SpeculationDecider.Decide(state, JsonSerializer.Deserialize<SpeculationQuestion>(question, ContractJson.Strict)!).Recorded;
            Assert.Equal(JsonSerializer.Serialize(decided, ContractJson.Options), JsonSerializer.Serialize(again, ContractJson.Options));
            state = SpeculationState.Evolve(state, decided);
        }

        Assert.Equal(["hysteresis", "probe", "speculation-budget"], recorded.SelectMany(step => step.Decided.Verdicts).Select(verdict => verdict.Code).Intersect(["hysteresis", "probe", "speculation-budget"]).Order());
    }

    private static SelectTargets Adaptive(int operation, double epsilon) => Select(operation, 5, acceptFewer: true) with { Replication = new ReplicationWish("adaptive", epsilon, 5), LeaseUntil = Now.AddDays(1) };

    private static Fleet After(int replicas, string kind) => Racks with { Speculation = SpeculationState.Evolve(SpeculationState.None, Decided(replicas, kind)) };

    private static SpeculationDecided Decided(int replicas, string kind) => new(Operation(99), 0, replicas, replicas, kind, null, null, [], Now.AddHours(-1));

    private static DiscountedOutcomes Bad(double heardSecondsAgo) => new(3, 0, DiscountedOutcomes.SecondsOf(Now.AddSeconds(-heardSecondsAgo)));

    /// <summary>One host has failed, some time ago; the others have done well since, each alone is enough.</summary>
    private static Fleet Avoiding(string hostId, double heardSecondsAgo) => Racks with
    {
        Outcomes = Racks.Hosts.Keys.ToImmutableDictionary(
            host => host, host => host == hostId ? Bad(heardSecondsAgo) : new DiscountedOutcomes(0, 60, DiscountedOutcomes.SecondsOf(Now)), StringComparer.Ordinal),
    };
}
