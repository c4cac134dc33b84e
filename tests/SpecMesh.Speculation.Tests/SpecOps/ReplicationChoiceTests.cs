using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>How many replicas an operation gets, and when they start, by the name in its request.</summary>
public sealed class ReplicationChoiceTests
{
    private static readonly ReplicationWish Hedged = new("hedged", HedgeDelaySeconds: 10);

    [Fact]
    public void adaptive_asks_placement_for_as_many_hosts_as_it_takes()
    {
        Scenario scenario = new();
        scenario.Do(Migrate() with { Replication = new ReplicationWish("adaptive", 0.001) });
        Assert.Equal((5, new ReplicationWish("adaptive", 0.001, 5)), (scenario.TheOne<SpecOpAccepted>().Sq, scenario.TheOne<SpecOpAccepted>().Replication));
        SelectTargets wanted = Assert.Single(scenario.Sent<SelectTargets>());
        Assert.Equal((5, true, new ReplicationWish("adaptive", 0.001, 5)), (wanted.Count, wanted.AcceptFewer, wanted.Replication));
    }

    [Fact]
    public void adaptive_has_no_more_replicas_than_targets()
    {
        Scenario scenario = new();
        scenario.Do(Migrate(null, ["b", "c"]) with { Replication = new ReplicationWish("adaptive") });
        Assert.Equal((2, 0.01), (scenario.State.Accepted!.Sq, scenario.State.Accepted.Replication!.Epsilon));
    }

    [Fact]
    public void without_a_wish_the_record_is_as_it_always_was()
    {
        Scenario scenario = new();
        scenario.Do(Migrate(2));
        Assert.Null(scenario.State.Accepted!.Replication);
        Assert.DoesNotContain("replication", System.Text.Json.JsonSerializer.Serialize(scenario.State.Accepted, ContractJson.Options), StringComparison.Ordinal);
    }

    [Fact]
    public void hedged_starts_one_replica_and_sets_a_deadline_for_each_other()
    {
        Scenario scenario = Begun();
        Assert.Equal(["b"], scenario.Sent<StartReplica>().Select(start => start.HostId));
        Assert.Equal(["c", "d"], scenario.TheOne<ReplicasPlanned>().WaitingHostIds);
        Assert.Equal(
            [(1, Start.AddSeconds(10)), (2, Start.AddSeconds(20))],
            scenario.Last.Effects.Where(effect => effect.Message is HedgeDeadline).Select(effect => (((HedgeDeadline)effect.Message).Replica, effect.DueAt!.Value)));
    }

    [Fact]
    public void hedged_gives_the_last_replica_its_whole_time()
    {
        Scenario scenario = new();
        scenario.Do(Migrate(3) with { Replication = Hedged });
        Assert.Equal(Start.AddSeconds(20 + 60) + SpecOpDecider.OperationReserve, scenario.State.Accepted!.DeadlineAt);
    }

    [Fact]
    public void the_next_replica_starts_when_its_time_has_come()
    {
        Scenario scenario = Begun();
        scenario.Do(new HedgeDeadline(Id, 1));
        Assert.Equal(("c", 1), Assert.Single(scenario.Sent<StartReplica>().Select(start => (start.HostId, start.Replica))));
        scenario.Do(new HedgeDeadline(Id, 1));
        scenario.NothingHappened();
        scenario.Do(new HedgeDeadline(Id, 2));
        Assert.Equal(["d"], scenario.Sent<StartReplica>().Select(start => start.HostId));
        Assert.Null(scenario.TheOne<ReplicasPlanned>().WaitingHostIds);
        Assert.Null(Redecision.FirstDifference(Id, scenario.Recorded));
    }

    [Fact]
    public void deadlines_that_come_in_another_order_start_every_replica_once()
    {
        Scenario scenario = Begun();
        scenario.Do(new HedgeDeadline(Id, 2));
        Assert.Equal(["c", "d"], scenario.Sent<StartReplica>().Select(start => start.HostId));
        scenario.Do(new HedgeDeadline(Id, 1));
        scenario.NothingHappened();
    }

    [Fact]
    public void the_next_replica_starts_at_once_when_none_is_left_and_the_operation_fails_with_the_last()
    {
        Scenario scenario = Begun();
        scenario.Ended(0, "b");
        Assert.Equal(["c"], scenario.Sent<StartReplica>().Select(start => start.HostId));
        scenario.Do(new HedgeDeadline(Id, 1));
        scenario.NothingHappened();
        scenario.Ended(1, "c");
        Assert.Equal(["d"], scenario.Sent<StartReplica>().Select(start => start.HostId));
        scenario.Ended(2, "d");
        Assert.Equal(OperationOutcome.Failed, scenario.State.Completed?.Outcome);
    }

    [Fact]
    public void a_waiting_host_that_has_come_under_suspicion_is_passed_over_at_once_and_starts_later_when_it_is_trusted_again()
    {
        Scenario scenario = Begun();
        scenario.Unfit = [Suspected("c")];
        scenario.Do(new HedgeDeadline(Id, 1));
        Assert.Equal(["d"], scenario.Sent<StartReplica>().Select(start => start.HostId));
        Assert.Contains("c is passed over: It is silent.", scenario.TheOne<ReplicasPlanned>().Reason.Detail, StringComparison.Ordinal);
        Assert.Equal(["c"], scenario.State.WaitingHostIds);
        scenario.Do(new HedgeDeadline(Id, 2));
        scenario.NothingHappened();
        scenario.Unfit = null;
        scenario.Do(new HedgeDeadline(Id, 2));
        Assert.Equal(["c"], scenario.Sent<StartReplica>().Select(start => start.HostId));
        Assert.Null(Redecision.FirstDifference(Id, scenario.Recorded));
    }

    [Fact]
    public void when_no_replica_is_left_a_suspected_host_is_better_than_none_and_one_that_is_trusted_better_than_it()
    {
        Scenario scenario = Begun();
        scenario.Unfit = [Suspected("c")];
        scenario.Ended(0, "b");
        Assert.Equal(["d"], scenario.Sent<StartReplica>().Select(start => start.HostId));
        scenario.Ended(1, "d");
        Assert.Equal(["c"], scenario.Sent<StartReplica>().Select(start => start.HostId));
        Assert.Null(Redecision.FirstDifference(Id, scenario.Recorded));
    }

    [Fact]
    public void a_waiting_host_that_is_confirmed_dead_never_starts_and_what_it_has_reserved_is_given_back()
    {
        Scenario scenario = Begun();
        scenario.Unfit = [new UnfitHost("c", new Reason("dead", "It is dead."), IsFenced: true)];
        scenario.Do(new HedgeDeadline(Id, 2));
        Assert.Equal(["d"], scenario.Sent<StartReplica>().Select(start => start.HostId));
        scenario.Ended(0, "b");
        Assert.Empty(scenario.Sent<StartReplica>());
        scenario.Ended(1, "d");
        Assert.Equal(OperationOutcome.Failed, scenario.State.Completed?.Outcome);
        Assert.Contains(scenario.Sent<ReleaseTargets>(), release => release.HostIds.Contains("c"));
        Assert.DoesNotContain(scenario.State.Replicas.Values, replica => replica.HostId == "c");
        Assert.Null(Redecision.FirstDifference(Id, scenario.Recorded));
    }

    [Fact]
    public void a_win_gives_back_what_no_replica_needs_any_more()
    {
        Scenario scenario = Begun();
        scenario.Do(new ReplicaStarted(Id, 0, 1, "b", "127.0.0.1:7000"));
        scenario.Do(scenario.Commit(0, "b"));
        Assert.Equal(["c", "d"], Assert.Single(scenario.Sent<ReleaseTargets>()).HostIds);
        scenario.Do(new HedgeDeadline(Id, 1));
        scenario.NothingHappened();
        scenario.SettleAll();
        Assert.Equal(SpecOpPhase.Settled, scenario.State.Phase);
        Assert.Null(Redecision.FirstDifference(Id, scenario.Recorded));
    }

    [Fact]
    public void a_power_on_is_hedged_likewise()
    {
        Scenario scenario = new();
        scenario.PutView(OwnershipDecider.Unknown(Vm));
        scenario.Do(PowerOn(2) with { Replication = new ReplicationWish("hedged") });
        Assert.Equal(20, scenario.State.Accepted!.Replication!.HedgeDelaySeconds);
        scenario.Do(new TargetsReserved(Id, 0, ["b", "c"], Why));
        scenario.Do(new HedgeDeadline(Id, 1));
        Assert.Equal(["c"], scenario.Sent<StartReplica>().Select(start => start.HostId));
    }

    [Fact]
    public void a_replica_that_only_builds_is_ended_by_what_its_memory_costs_and_the_last_one_when_told_to()
    {
        Scenario scenario = new();
        scenario.PutView(OwnershipDecider.Unknown(Vm));
        scenario.Do(PowerOn(1) with { Cost = new CostLimits(60, MaxMemoryGibSeconds: 0.5, AbortLast: true) });
        scenario.Do(new TargetsReserved(Id, 0, ["b"], Why));
        Assert.Equal(Start.AddSeconds(8), Assert.Single(scenario.Last.Effects, effect => effect.Message is ReplicaDeadline).DueAt);
        scenario.Do(new ReplicaStarted(Id, 0, 0, "b", null));
        scenario.Do(new ReplicaDeadline(Id, 0));
        Assert.Equal(("memory-seconds", 8), (scenario.TheOne<ReplicaAborted>().Reason.Code, scenario.TheOne<ReplicaAborted>().Reason.Limit));
    }

    private static UnfitHost Suspected(string hostId) => new(hostId, new Reason("silent", "It is silent."), IsFenced: false);

    private static Scenario Begun()
    {
        Scenario scenario = new();
        scenario.Do(Migrate(3) with { Replication = Hedged });
        scenario.Do(new TargetsReserved(Id, 0, ["b", "c", "d"], Why));
        return scenario;
    }
}
