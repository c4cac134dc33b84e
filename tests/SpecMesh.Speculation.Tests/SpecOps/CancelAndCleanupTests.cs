using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>Contract of <see cref="CancelSpecOp"/>: "end the operation unless a replica has already won. Idempotent in every state."</summary>
public sealed class CancelTests
{
    [Fact]
    public void a_cancel_ends_the_operation_and_every_vote_in_one_append()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Do(new CancelSpecOp(Id, "me"));
        Assert.Equal("me", scenario.TheOne<CancelRequested>().RequestedBy);
        Assert.Equal(2, scenario.Last.Events.OfType<ReplicaCancelled>().Count());
        Assert.Equal(OperationOutcome.Cancelled, scenario.State.Completed!.Outcome);
        Assert.Equal(["TransferRefused", "OperationClosed"], scenario.Last.OwnershipEvents.Select(e => e.GetType().Name));
        Assert.All(scenario.Sent<AbortReplica>(), abort => Assert.Equal(ReplicaOutcome.Cancelled, abort.Outcome));
    }

    [Fact]
    public void a_cancel_before_any_replica_is_planned_ends_the_operation()
    {
        Scenario scenario = new();
        scenario.Do(Migrate(2));
        scenario.Do(new CancelSpecOp(Id));
        scenario.Do(new SourceReleased(Id, "a", false, 0, [], []));
        Assert.Equal((SpecOpPhase.Settled, OperationOutcome.Cancelled), (scenario.State.Phase, scenario.State.Completed!.Outcome));
    }

    [Fact]
    public void a_cancel_after_the_commit_does_not_take_the_win_away()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Commit(1, "c");
        scenario.Do(new CancelSpecOp(Id));
        Assert.Single(scenario.Last.Events.OfType<CancelRequested>());
        Assert.Equal((OperationOutcome.Succeeded, "c"), (scenario.State.Completed!.Outcome, scenario.State.Completed.WinnerHostId));
    }

    [Fact]
    public void a_cancel_in_any_other_state_changes_nothing()
    {
        Scenario refused = new();
        refused.Do(Migrate(99));
        refused.Do(new CancelSpecOp(Id));
        refused.NothingHappened();

        Scenario completed = Racing(hosts: ["b"]);
        completed.Do(completed.Commit(0, "b"));
        completed.Do(new CancelSpecOp(Id));
        completed.NothingHappened();
        completed.SettleAll();
        completed.Do(new CancelSpecOp(Id));
        completed.NothingHappened();
        Assert.Equal(OperationOutcome.Succeeded, completed.State.Completed!.Outcome);
    }
}

/// <summary>R8: "every loser's shell, memory and reservation is gone."</summary>
public sealed class CleanupTests
{
    [Fact]
    public void losers_and_source_are_asked_until_each_has_said_that_it_is_done()
    {
        Scenario scenario = Racing(hosts: ["b", "c", "d"]);
        scenario.Do(scenario.Commit(0, "b"));
        scenario.Do(new ReplicaCleaned(Id, 1, "c"));
        Assert.Empty(scenario.Sent<ReleaseTargets>());
        scenario.Do(new CleanupDeadline(Id, 1));
        Assert.Equal(["d"], scenario.Sent<AbortReplica>().Select(abort => abort.HostId));
        Assert.Single(scenario.Sent<ReleaseSource>());
        scenario.Do(new SourceReleased(Id, "a", true, 1, [], []));
        scenario.Do(new CleanupDeadline(Id, 2));
        Assert.Empty(scenario.Sent<ReleaseSource>());
        scenario.Do(new ReplicaCleaned(Id, 2, "d"));
        Assert.Equal(SpecOpPhase.Completed, scenario.State.Phase);
        scenario.Do(new ReplicaResumed(Id, 0, "b", Start));
        Assert.IsType<SpecOpSettled>(scenario.Last.Events[^1]);
        scenario.Do(new CleanupDeadline(Id, 3));
        Assert.Empty(scenario.Last.Effects);
    }

    /// <summary>Seen in the crash matrix: the operations' queue was deleted with the winner's only report in it, and the operation never settled.</summary>
    [Fact]
    public void the_winner_is_asked_until_somebody_has_heard_of_it()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        scenario.Do(scenario.Commit(0, "b"));
        Assert.Empty(scenario.Sent<ConfirmReplica>());
        scenario.Do(new SourceReleased(Id, "a", true, 1, [], []));
        for (int attempt = 1; attempt <= 2; attempt++)
        {
            scenario.Do(new CleanupDeadline(Id, attempt));
            Assert.Equal(("b", 0), scenario.Sent<ConfirmReplica>().Select(confirm => (confirm.HostId, confirm.Replica)).Single());
        }

        scenario.Do(new ReplicaResumed(Id, 0, "b", Start));
        Assert.IsType<SpecOpSettled>(scenario.Last.Events[^1]);
        scenario.Do(new CleanupDeadline(Id, 3));
        Assert.Empty(scenario.Last.Effects);
    }

    [Fact]
    public void a_winner_that_nobody_is_left_to_speak_for_is_waited_for_only_as_long_as_the_machine_is_its_own()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        scenario.Do(scenario.Commit(0, "b"));
        scenario.Do(new SourceReleased(Id, "a", true, 1, [], []));
        scenario.Do(new CleanupDeadline(Id, 1));
        scenario.NothingHappened();

        scenario.Append([new OwnershipReleased(Vm, "b", 2, Why)]);
        scenario.Do(new CleanupDeadline(Id, 2));
        Assert.Equal((0, "b"), (scenario.TheOne<WinnerLost>().Replica, scenario.TheOne<WinnerLost>().HostId));
        Assert.Equal(SpecOpPhase.Settled, scenario.State.Phase);
    }

    [Fact]
    public void the_pause_between_two_requests_doubles_up_to_its_limit()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        scenario.Do(new SpecOpDeadline(Id));
        List<double> pauses = [Pause(scenario)];
        for (int attempt = 1; attempt <= 7; attempt++)
        {
            scenario.Do(new CleanupDeadline(Id, attempt));
            pauses.Add(Pause(scenario));
        }

        Assert.Equal([1, 2, 4, 8, 16, 30, 30, 30], pauses);
        scenario.Do(new CleanupDeadline(Id, int.MaxValue - 1));
        Assert.Equal(30, Pause(scenario));
    }

    [Fact]
    public void a_replica_that_goes_while_the_race_goes_on_gives_its_host_back_at_once()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Ended(0, "b");
        scenario.Do(new ReplicaCleaned(Id, 0, "b"));
        Assert.Equal(["b"], Assert.Single(scenario.Sent<ReleaseTargets>()).HostIds);
    }

    [Fact]
    public void a_report_that_comes_before_the_news_of_the_commit_gives_its_host_back_too()
    {
        // Placement may have heard the report while the operation was still recorded as running, and done nothing about it.
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Commit(1, "c");
        scenario.Do(new ReplicaCleaned(Id, 0, "b"));
        Assert.Equal(OperationOutcome.Succeeded, scenario.State.Completed!.Outcome);
        Assert.Equal(["b"], Assert.Single(scenario.Sent<ReleaseTargets>()).HostIds);
    }

    [Fact]
    public void a_reservation_that_arrives_after_the_end_is_released()
    {
        Scenario scenario = new();
        scenario.Do(Migrate(2));
        scenario.Do(new CancelSpecOp(Id));
        scenario.Do(new TargetsReserved(Id, 0, ["b", "c"], Why));
        scenario.NothingHappened();
        Assert.Equal(["b", "c"], Assert.Single(scenario.Sent<ReleaseTargets>()).HostIds);
    }

    [Fact]
    public void a_loser_that_starts_after_the_end_is_told_again_to_go()
    {
        Scenario scenario = new();
        scenario.Do(Migrate(1));
        scenario.Do(new TargetsReserved(Id, 0, ["b"], Why));
        scenario.Do(new CancelSpecOp(Id));
        scenario.Do(new ReplicaStarted(Id, 0, 1, "b", "127.0.0.1:7000"));
        scenario.NothingHappened();
        Assert.Equal("b", Assert.Single(scenario.Sent<AbortReplica>()).HostId);
    }

    [Fact]
    public void a_shell_that_vanished_is_a_failed_replica()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Do(new ReplicaCleaned(Id, 0, "b"));
        Assert.Equal((ReplicaOutcome.Failed, "shell-gone"), (scenario.State.Replicas[0].Outcome, scenario.State.Replicas[0].Reason!.Code));
        Assert.True(scenario.State.Replicas[0].Cleaned);
    }

    [Fact]
    public void the_winners_reservation_is_never_given_back()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        scenario.Do(scenario.Commit(0, "b"));
        scenario.Do(new ReplicaCleaned(Id, 0, "b"));
        scenario.NothingHappened();
        Assert.Empty(scenario.Last.Effects);
    }

    private static double Pause(Scenario scenario) => (Assert.Single(scenario.Last.Effects, effect => effect.Message is CleanupDeadline).DueAt!.Value - Start).TotalSeconds;
}

/// <summary>The naive managers, as documented on <see cref="Managers"/>.</summary>
public sealed class NaiveManagerTests
{
    [Fact]
    public void retry_same_server_waits_one_two_and_four_seconds_and_then_gives_up()
    {
        Scenario scenario = Racing("retry-same-server", "b");
        List<double> pauses = [];
        for (int attempt = 0; attempt < Managers.NaiveAttempts; attempt++)
        {
            scenario.Ended(attempt, "b");
            if (scenario.State.Phase == SpecOpPhase.Racing)
            {
                Effect retry = Assert.Single(scenario.Last.Effects, effect => effect.Message is RetryDeadline);
                pauses.Add((retry.DueAt!.Value - Start).TotalSeconds);
                scenario.Do(retry.Message);
                Assert.Equal((attempt + 1, "b"), (scenario.Sent<StartReplica>().Single().Replica, scenario.Sent<StartReplica>().Single().HostId));
                scenario.Do(retry.Message);
                scenario.NothingHappened();
            }
        }

        Assert.Equal([1, 2, 4], pauses);
        Assert.Equal((OperationOutcome.Failed, 4), (scenario.State.Completed!.Outcome, scenario.State.Replicas.Count));
    }

    [Fact]
    public void retry_same_server_keeps_its_reservation_between_attempts_and_gives_it_back_at_the_end()
    {
        Scenario scenario = Racing("retry-same-server", "b");
        scenario.Ended(0, "b");
        scenario.Do(new ReplicaCleaned(Id, 0, "b"));
        Assert.Empty(scenario.Sent<ReleaseTargets>());
        scenario.Do(new CancelSpecOp(Id));
        Assert.Equal(["b"], Assert.Single(scenario.Sent<ReleaseTargets>()).HostIds);
    }

    [Fact]
    public void the_cleanup_of_a_first_attempt_does_not_release_the_memory_of_the_second()
    {
        Scenario scenario = Racing("retry-same-server", "b");
        scenario.Ended(0, "b");
        scenario.Do(new RetryDeadline(Id, 0));
        scenario.Do(scenario.Commit(1, "b"));
        scenario.Do(new ReplicaCleaned(Id, 0, "b"));
        Assert.Empty(scenario.Sent<ReleaseTargets>());
    }

    [Fact]
    public void retry_repick_asks_at_once_for_a_host_that_was_not_tried()
    {
        Scenario scenario = Racing("retry-repick", "b");
        scenario.Ended(0, "b");
        SelectTargets wanted = Assert.Single(scenario.Sent<SelectTargets>());
        Assert.Equal((1, 1), (wanted.Request, wanted.Count));
        Assert.Equal(["a", "b"], wanted.Excluded);
        scenario.Do(new TargetsReserved(Id, 1, ["c"], Why));
        Assert.Equal("c", scenario.State.Replicas[1].HostId);
        scenario.Ended(1, "c");
        scenario.Do(new TargetsRefused(Id, 2, Why));
        Assert.Equal(OperationOutcome.Failed, scenario.State.Completed!.Outcome);
    }

    [Fact]
    public void the_speculative_manager_does_not_retry()
    {
        Scenario scenario = Racing("speculative", "b");
        scenario.Ended(0, "b");
        Assert.Equal(OperationOutcome.Failed, scenario.State.Completed!.Outcome);
        Assert.Contains("on b", scenario.State.Completed.Reason.Detail);
    }

    [Fact]
    public void a_retry_that_comes_after_the_end_starts_nothing()
    {
        Scenario scenario = Racing("retry-same-server", "b");
        scenario.Ended(0, "b");
        scenario.Do(new CancelSpecOp(Id));
        scenario.Do(new RetryDeadline(Id, 0));
        scenario.NothingHappened();
    }
}
