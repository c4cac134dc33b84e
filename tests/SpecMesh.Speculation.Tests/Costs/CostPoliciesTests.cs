using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;

namespace SpecMesh.Speculation.Tests.Costs;

/// <summary>
/// DESIGN section 9: "Cost: timeout, resource budget, rate of progress; any one aborts a replica, never after VOTED; by default the last replica is kept. Rates compare siblings on acknowledged
/// bytes." Each scenario is a race of replicas of a machine with 1 GiB, judged every second.
/// </summary>
public sealed class CostPoliciesTests
{
    private static readonly CostLimits ByProgress = new(MinProgress: ProgressOptions.DefaultMinProgress);

    [Fact]
    public void an_absent_limit_does_not_act() => Assert.Empty(new Race(new CostLimits(), dirtyMibPerSecond: 500).Join(1).Join(100).Run(10_000).Aborted);

    [Fact]
    public void the_timeout_acts_above_its_limit_and_tells_what_it_saw()
    {
        Race race = new Race(new CostLimits(10), dirtyMibPerSecond: 0).Join(1).Run(5).Join(1).Run(5);
        Assert.Empty(race.Aborted);
        (double at, CostFinding finding) = Assert.Single(race.Run(2).Aborted);
        Assert.Equal((11, 0, "timeout", 11, 10), (at, finding.Replica, finding.Code, finding.Observed, finding.Limit));
    }

    [Fact]
    public void of_replicas_that_run_out_of_time_together_the_one_that_would_end_first_is_kept()
    {
        Race race = new Race(new CostLimits(10), dirtyMibPerSecond: 0).Join(20).Join(60).Join(40).Run(12);
        Assert.Equal([0, 2], race.Aborted.Select(abort => abort.Finding.Replica));
        Assert.Equal([1], race.Live);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(false)]
    public void the_last_replica_is_kept_unless_told_otherwise(bool? abortLast)
    {
        Assert.Empty(new Race(new CostLimits(10, MaxBytes: 1, MaxOperationBytes: 1, AbortLast: abortLast), dirtyMibPerSecond: 0).Join(1).Run(100).Aborted);
    }

    [Fact]
    public void the_last_replica_goes_when_the_workload_says_so()
    {
        Race race = new Race(new CostLimits(10, AbortLast: true), dirtyMibPerSecond: 0).Join(1).Join(2).Run(100);
        Assert.Equal([(11, 0), (11, 1)], race.Aborted.Select(abort => (abort.AtSeconds, abort.Finding.Replica)));
    }

    [Fact]
    public void a_replica_that_has_its_vote_is_never_touched_and_its_siblings_are()
    {
        Race race = new Race(new CostLimits(10, 1, null, 0.001, 1, null, 0.001, 0.05, AbortLast: true), dirtyMibPerSecond: 0).Join(1).Join(100).Vote(0).Run(500);
        Assert.Equal([1], race.Aborted.Select(abort => abort.Finding.Replica));
        Assert.Equal([0], race.Live);
    }

    [Fact]
    public void slow_target_its_replica_is_aborted_after_grace_and_three_windows()
    {
        Race race = new Race(ByProgress, dirtyMibPerSecond: 1).Join(40).Join(5).Join(40).Run(20);
        (double at, CostFinding finding) = Assert.Single(race.Aborted);
        Assert.Equal((12, 1, "progress-late", 3), (at, finding.Replica, finding.Code, finding.Limit));
        Assert.InRange(finding.Observed, 3, 15);
    }

    [Fact]
    public void a_target_that_hangs_is_aborted_though_little_was_left_for_it()
    {
        Race race = new Race(ByProgress, dirtyMibPerSecond: 1).Join(40).Join(40).Run(24);
        Assert.Empty(race.Aborted);
        Assert.Equal([1], race.Rate(1, 0).Run(15).Aborted.Select(abort => abort.Finding.Replica));
    }

    [Fact]
    public void non_converging_guest_the_replica_that_does_not_keep_up_goes_while_a_sibling_converges()
    {
        // Both are judged by convergence alone: their times are too close for the other rules.
        Race race = new Race(ByProgress, dirtyMibPerSecond: 60).Join(59).Join(150).Run(120);
        CostFinding finding = Assert.Single(race.Aborted).Finding;
        Assert.Equal(0, finding.Replica);
        Assert.Contains(finding.Code, (string[])["not-converging", "progress-late"]);
    }

    [Theory]
    [InlineData(45, 0, "not-converging")]
    [InlineData(55, 0, null)]
    [InlineData(45, 1, null)]
    public void non_converging_guest_a_sibling_converges_when_it_is_well_ahead_and_its_last_round_left_less(int leftToSibling, int stalledRounds, string? code)
    {
        Sibling stuck = Rounds(100, 100, 100, 100) with { Now = new ReplicaStanding(5, 3 * Race.Memory, 0, 100, 1) };
        Sibling ahead = stalledRounds == 0 ? Rounds(100, leftToSibling) : Rounds(100, leftToSibling, leftToSibling);
        Assert.Equal(code, Judge(ByProgress, stuck, ahead).Select(finding => finding.Code).SingleOrDefault());

        static Sibling Rounds(params int[] left)
        {
            Sibling sibling = new(left.Length, Race.Memory);
            foreach (int bytes in left)
            {
                sibling.EndRound(bytes, ProgressOptions.Default);
            }

            return sibling;
        }
    }

    [Fact]
    public void non_converging_guest_is_left_to_the_stop_rule_when_no_sibling_converges()
    {
        Assert.Empty(new Race(ByProgress, dirtyMibPerSecond: 200).Join(100).Join(101).Run(300).Aborted);
    }

    [Fact]
    public void non_converging_guest_ends_every_replica_when_the_workload_would_rather_abort()
    {
        Race race = new Race(ByProgress with { AbortLast = true }, dirtyMibPerSecond: 200).Join(100).Join(101).Run(300);
        Assert.All(race.Aborted, abort => Assert.Equal("not-converging", abort.Finding.Code));
        Assert.Empty(race.Live);
        Assert.All(race.Aborted, abort => Assert.True(abort.Finding.Observed > 2));
    }

    [Fact]
    public void shared_slow_link_slows_all_and_ends_none()
    {
        Race race = new Race(ByProgress, dirtyMibPerSecond: 1).Join(40).Join(38).Join(42).Run(12);
        race.Rate(0, 1.5).Rate(1, 1.4).Rate(2, 1.6).Run(300);
        Assert.Empty(race.Aborted);
    }

    [Fact]
    public void all_slow_none_is_ended_by_progress()
    {
        Assert.Empty(new Race(ByProgress, dirtyMibPerSecond: 0.001).Join(0.01).Join(0.01).Join(0.012).Run(1000).Aborted);
    }

    [Fact]
    public void late_sibling_that_is_as_fast_as_the_others_is_not_ended_for_being_late()
    {
        // The first has 4 s to go when the second has just begun: on what is left alone the second would be ended.
        Race race = new Race(ByProgress, dirtyMibPerSecond: 0).Join(20).Run(35).Join(20).Run(14);
        Assert.Empty(race.Aborted);
        Assert.Equal([0, 1], race.Live);
    }

    [Fact]
    public void late_sibling_that_is_slow_is_ended()
    {
        Race race = new Race(ByProgress, dirtyMibPerSecond: 0).Join(10).Run(30).Join(0.9).Run(20);
        Assert.Equal([1], race.Aborted.Select(abort => abort.Finding.Replica));
    }

    [Fact]
    public void bytes_of_a_replica_are_limited()
    {
        Race race = new Race(new CostLimits(MaxBytes: 2 * Race.Memory), dirtyMibPerSecond: 50).Join(100).Join(60).Run(60);
        CostFinding finding = Assert.Single(race.Aborted).Finding;
        Assert.Equal((0, "bytes", 2.0 * Race.Memory), (finding.Replica, finding.Code, finding.Limit));
        Assert.InRange(finding.Observed, finding.Limit, 1.2 * finding.Limit);
    }

    [Fact]
    public void a_replica_that_is_nearly_done_may_cost_a_tenth_more_and_no_more()
    {
        Sibling nearlyDone = new(0, Race.Memory) { Now = new ReplicaStanding(30, 1050, 0, Race.Memory / 20, 1) };
        Sibling sibling = new(1, Race.Memory) { Now = new ReplicaStanding(30, 10, 0, Race.Memory, 1) };
        Assert.Empty(Judge(new CostLimits(MaxBytes: 1000), nearlyDone, sibling));
        nearlyDone.Now = nearlyDone.Now with { BytesSent = 1101 };
        Assert.Equal("bytes", Assert.Single(Judge(new CostLimits(MaxBytes: 1000), nearlyDone, sibling)).Code);
    }

    [Fact]
    public void processor_time_and_memory_over_time_are_limited()
    {
        Sibling busy = new(0, Race.Memory) { Now = new ReplicaStanding(30, 0, 12.5, Race.Memory, 1) };
        Sibling idle = new(1, Race.Memory) { Now = new ReplicaStanding(3, 0, 0, Race.Memory, 1) };
        Assert.Equal(("cpu-seconds", 12.5, 12), Numbers(Judge(new CostLimits(MaxCpuSeconds: 12), busy, idle)));
        Assert.Equal(("memory-seconds", 30, 29), Numbers(Judge(new CostLimits(MaxMemoryGibSeconds: 29), busy, idle)));
    }

    [Fact]
    public void the_operations_budget_ends_one_replica_per_judgement_the_one_that_would_end_last_first()
    {
        Race race = new Race(new CostLimits(MaxOperationBytes: Race.Memory), dirtyMibPerSecond: 0).Join(20).Join(60).Join(40).Run(12);
        Assert.Equal([(9, 0, "operation-bytes"), (10, 2, "operation-bytes")], race.Aborted.Select(abort => (abort.AtSeconds, abort.Finding.Replica, abort.Finding.Code)));
        Assert.Equal([1], race.Live);
    }

    [Theory]
    [InlineData("operation-cpu-seconds")]
    [InlineData("operation-memory-seconds")]
    public void the_operations_other_budgets_act_likewise(string code)
    {
        CostLimits limits = new(MaxOperationCpuSeconds: 5, MaxOperationMemoryGibSeconds: 50);
        OperationCost cost = code == "operation-cpu-seconds" ? new OperationCost(0, 5.5) : new OperationCost(0, 5, 50.5);
        Sibling[] siblings = [new(0, 1), new(1, 1)];
        CostFinding[] findings = new CostFinding[2];
        Assert.Equal(1, CostPolicies.Judge(limits, ProgressOptions.Default, cost, siblings, findings));
        Assert.Equal((1, code), (findings[0].Replica, findings[0].Code));
    }

    [Fact]
    public void a_reason_has_no_number_for_what_is_infinite()
    {
        Reason reason = new CostFinding(0, "progress-late", "Late.", double.PositiveInfinity, 3).ToReason();
        Assert.Equal(new Reason("progress-late", "Late.", null, 3), reason);
    }

    [Fact]
    public void judging_allocates_nothing()
    {
        CostLimits limits = new(60, 1 << 30, 5, 50, 1 << 30, 50, 500, 0.05);
        Sibling[] siblings = [.. Enumerable.Range(0, 5).Select(replica => new Sibling(replica, Race.Memory) { Now = new ReplicaStanding(12, 1000 * replica, 0, 500, replica) })];
        CostFinding[] findings = new CostFinding[5];
        Judge();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            Judge();
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Judge() => CostPolicies.Judge(limits, ProgressOptions.Default, new OperationCost(1), siblings, findings);
    }

    private static (string Code, double Observed, double Limit) Numbers(CostFinding[] findings)
    {
        CostFinding finding = Assert.Single(findings);
        return (finding.Code, finding.Observed, finding.Limit);
    }

    private static CostFinding[] Judge(CostLimits limits, params Sibling[] siblings)
    {
        CostFinding[] findings = new CostFinding[siblings.Length];
        return findings[..CostPolicies.Judge(limits, ProgressOptions.Default, new OperationCost(0), siblings, findings)];
    }
}
