using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>DESIGN section 1: "exactly one replica wins, the others are aborted and leave nothing behind."</summary>
public sealed class RaceTests
{
    [Fact]
    public void an_accepted_operation_opens_the_machine_asks_for_hosts_and_sets_its_deadline()
    {
        Scenario scenario = new();
        scenario.Do(Migrate(3));
        SpecOpAccepted accepted = scenario.TheOne<SpecOpAccepted>();
        Assert.IsType<OperationOpened>(Assert.Single(scenario.Last.OwnershipEvents));
        Assert.Equal((3, "a", 1, 5L), (accepted.Sq, accepted.SourceHostId, accepted.Epoch, accepted.OwnershipVersion));
        SelectTargets wanted = Assert.Single(scenario.Sent<SelectTargets>());
        Assert.Equal(3, wanted.Count);
        Assert.Equal(["a"], wanted.Excluded);
        Effect deadline = Assert.Single(scenario.Last.Effects, effect => effect.Message is SpecOpDeadline);
        Assert.Equal(Start + TimeSpan.FromSeconds(60) + SpecOpDecider.OperationReserve, deadline.DueAt);
    }

    [Fact]
    public void every_reserved_host_is_told_to_start_and_every_started_one_is_connected()
    {
        Scenario scenario = Racing(hosts: ["b", "c", "d"]);
        Assert.Equal([ReplicaPhase.Started, ReplicaPhase.Started, ReplicaPhase.Started], scenario.State.Replicas.Values.Select(r => r.Phase));
        ConnectReplica connect = Assert.Single(scenario.Sent<ConnectReplica>());
        Assert.Equal((2, "a", "d", 5L), (connect.Replica, connect.SourceHostId, connect.TargetHostId, connect.OwnershipVersion));
    }

    [Fact]
    public void the_first_commit_wins_and_the_others_are_aborted_because_they_lost_the_race()
    {
        Scenario scenario = Racing(hosts: ["b", "c", "d"]);
        scenario.Do(scenario.Commit(1, "c"));
        Assert.Equal((OperationOutcome.Succeeded, 1, "c"), (scenario.State.Completed!.Outcome, scenario.State.Completed.WinnerReplica!.Value, scenario.State.Completed.WinnerHostId));
        Assert.Equal([ReplicaOutcome.Aborted, ReplicaOutcome.Won, ReplicaOutcome.Aborted], scenario.State.Replicas.Values.Select(r => r.Outcome!.Value));
        Assert.All(scenario.Last.Events.OfType<ReplicaAborted>(), aborted => Assert.Equal("lost-the-race", aborted.Reason.Code));
        Assert.Equal(["b", "d"], scenario.Sent<AbortReplica>().Select(abort => abort.HostId));
        Assert.Single(scenario.Sent<ReleaseSource>());
        Assert.IsType<OperationClosed>(Assert.Single(scenario.Last.OwnershipEvents));
    }

    [Fact]
    public void a_second_commit_message_changes_nothing()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        OwnershipTransferred won = scenario.Commit(0, "b");
        scenario.Do(won);
        scenario.Do(won);
        scenario.NothingHappened();
        scenario.Do(won with { Replica = 1, HostId = "c" });
        scenario.NothingHappened();
        Assert.Equal("b", scenario.State.Completed!.WinnerHostId);
    }

    [Fact]
    public void a_commit_wins_even_after_the_operation_had_given_the_replica_up()
    {
        Scenario scenario = PoweringOn("b", "c");
        scenario.Do(new ReplicaDeadline(Id, 0));
        Assert.Equal(ReplicaOutcome.Failed, scenario.State.Replicas[0].Outcome);
        scenario.Do(scenario.Commit(0, "b"));
        Assert.Equal(ReplicaOutcome.Won, scenario.State.Replicas[0].Outcome);
        Assert.Equal(OperationOutcome.Succeeded, scenario.State.Completed!.Outcome);
    }

    [Theory]
    [InlineData(typeof(SpecOpDeadline))]
    [InlineData(typeof(CancelSpecOp))]
    [InlineData(typeof(ReplicaFailed))]
    [InlineData(typeof(ReplicaResumed))]
    [InlineData(typeof(SourceReleased))]
    public void no_decision_waits_for_the_news_of_a_commit_that_the_event_stream_shows(Type message)
    {
        Scenario scenario = Racing(hosts: ["b"]);
        OwnershipTransferred won = scenario.Commit(0, "b");
        scenario.Do(message.Name switch
        {
            nameof(SpecOpDeadline) => new SpecOpDeadline(Id),
            nameof(CancelSpecOp) => new CancelSpecOp(Id),
            nameof(ReplicaFailed) => new ReplicaFailed(Id, 0, 1, "b", Why, ReplicaCounters.None),
            nameof(ReplicaResumed) => new ReplicaResumed(Id, 0, "b", Start),
            _ => new SourceReleased(Id, "a", true, 7.5, [0], [ReplicaCounters.None]),
        });
        Assert.Equal(OperationOutcome.Succeeded, scenario.State.Completed?.Outcome);
        scenario.Do(won);
        scenario.NothingHappened();
    }

    [Fact]
    public void a_target_whose_commit_came_second_has_lost_the_race_and_not_failed()
    {
        Scenario scenario = PoweringOn("b", "c");
        scenario.Commit(1, "c");
        scenario.Do(new ReplicaFailed(Id, 0, 0, "b", new Reason("old-epoch", "Another host became the owner."), ReplicaCounters.None));
        Assert.Equal((ReplicaOutcome.Aborted, "lost-the-race"), (scenario.State.Replicas[0].Outcome, scenario.State.Replicas[0].Reason!.Code));
        Assert.Equal("c", scenario.State.Completed?.WinnerHostId);
    }

    [Fact]
    public void what_the_source_measured_is_kept_when_it_lets_go_before_the_news_of_the_commit()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        scenario.Commit(0, "b");
        scenario.Do(new SourceReleased(Id, "a", true, 7.5, [0], [new ReplicaCounters(8192, 2, 1, 0, 5)]));
        scenario.Do(new ReplicaResumed(Id, 0, "b", Start));
        SpecOpSettled settled = scenario.TheOne<SpecOpSettled>();
        Assert.Equal((8192, 7.5), (settled.BytesSent, settled.DowntimeMs));
    }

    [Fact]
    public void the_failure_of_one_replica_leaves_the_others_racing()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Ended(0, "b");
        Assert.Equal(SpecOpPhase.Racing, scenario.State.Phase);
        Assert.Equal(["b", "a"], scenario.Sent<AbortReplica>().Select(abort => abort.HostId));
        scenario.Ended(1, "c");
        Assert.Equal((OperationOutcome.Failed, "no-replica-left"), (scenario.State.Completed!.Outcome, scenario.State.Completed.Reason.Code));
        Assert.Equal(["TransferRefused", "OperationClosed"], scenario.Last.OwnershipEvents.Select(e => e.GetType().Name));
    }

    [Fact]
    public void no_fitting_host_fails_the_operation_with_the_placements_reason()
    {
        Scenario scenario = new();
        scenario.Do(Migrate(2));
        scenario.Do(new TargetsRefused(Id, 0, new Reason("no-fitting-hosts", "None.")));
        Assert.Equal("no-fitting-hosts", scenario.State.Completed!.Reason.Code);
        scenario.Do(new SourceReleased(Id, "a", false, 0, [], []));
        Assert.Equal(SpecOpPhase.Settled, scenario.State.Phase);
    }

    [Fact]
    public void the_deadline_of_the_operation_also_ends_replicas_whose_agents_are_silent()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Do(new SpecOpDeadline(Id));
        Assert.Equal((OperationOutcome.Failed, "operation-deadline"), (scenario.State.Completed!.Outcome, scenario.State.Completed.Reason.Code));
        Assert.Equal(2, scenario.Last.Events.OfType<ReplicaAborted>().Count());
        scenario.Do(new SpecOpDeadline(Id));
        scenario.NothingHappened();
    }

    [Fact]
    public void a_host_that_does_not_start_in_time_has_failed_and_a_started_one_has_not()
    {
        Scenario scenario = new();
        scenario.Do(Migrate(2));
        scenario.Do(new TargetsReserved(Id, 0, ["b", "c"], Why));
        scenario.Do(new ReplicaStarted(Id, 0, 1, "b", "127.0.0.1:7000"));
        scenario.Do(new ReplicaDeadline(Id, 0));
        scenario.NothingHappened();
        scenario.Do(new ReplicaDeadline(Id, 1));
        Assert.Equal(("not-started", 20.0), (scenario.State.Replicas[1].Reason!.Code, scenario.State.Replicas[1].Reason!.Limit));
    }

    [Fact]
    public void a_slow_power_on_is_aborted_by_its_timeout_but_the_last_replica_is_kept()
    {
        Scenario scenario = PoweringOn("b", "c");
        scenario.Do(new ReplicaStarted(Id, 0, 0, "b", null));
        scenario.Do(new ReplicaStarted(Id, 1, 0, "c", null));
        scenario.Do(new ReplicaDeadline(Id, 0));
        Assert.Equal((ReplicaOutcome.Aborted, "timeout", 60.0), (scenario.State.Replicas[0].Outcome, scenario.State.Replicas[0].Reason!.Code, scenario.State.Replicas[0].Reason!.Limit!.Value));
        scenario.Do(new ReplicaDeadline(Id, 1));
        scenario.NothingHappened();
        Assert.True(scenario.State.Replicas[1].IsLive);
    }

    [Fact]
    public void a_power_on_that_nobody_started_names_the_limit_that_it_was_given()
    {
        Scenario scenario = PoweringOn("b");
        scenario.Do(new ReplicaDeadline(Id, 0));
        Assert.Equal(("not-started", 60.0), (scenario.State.Replicas[0].Reason!.Code, scenario.State.Replicas[0].Reason!.Limit));
    }
}
