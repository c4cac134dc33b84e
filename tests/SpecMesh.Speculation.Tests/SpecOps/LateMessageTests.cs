using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>DESIGN section 7, 9: "Every command carries (op, replica, epoch); all are idempotent; anything with an old epoch is refused."</summary>
public sealed class LateMessageTests
{
    private static readonly object[] Reports =
    [
        Migrate(2),
        new TargetsReserved(Id, 0, ["b", "c"], Why),
        new ReplicaStarted(Id, 0, 1, "b", "127.0.0.1:7000"),
        new ReplicaRoundsReported(Id, 1, [Round(0, 1)]),
        new ReplicaReady(Id, 0, 1, "b", 0, "d"),
        new ReplicaDeadline(Id, 0),
        new ReplicaFailed(Id, 1, 1, "c", Why, ReplicaCounters.None),
        new ReplicaCleaned(Id, 1, "c"),
        new CancelSpecOp(Id),
        new ReplicaCleaned(Id, 0, "b"),
        new SourceReleased(Id, "a", false, 1, [0, 1], [ReplicaCounters.None, ReplicaCounters.None]),
    ];

    [Fact]
    public void every_message_that_comes_twice_changes_nothing_the_second_time()
    {
        Scenario scenario = new();
        foreach (object report in Reports)
        {
            scenario.Do(report);
            scenario.Do(report);
            scenario.NothingHappened();
        }

        Assert.Equal(SpecOpPhase.Settled, scenario.State.Phase);
    }

    [Fact]
    public void after_its_end_no_message_changes_the_operation_any_more()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        OwnershipTransferred won = scenario.Commit(0, "b");
        scenario.Do(won);
        scenario.SettleAll();
        Assert.Equal(SpecOpPhase.Settled, scenario.State.Phase);
        object[] late =
        [
            .. Reports.Skip(1), won, new SpecOpDeadline(Id), new CleanupDeadline(Id, 3), new RetryDeadline(Id, 0), new ReplicaResumed(Id, 0, "b", Start), new ReplicaCleaned(Id, 0, "b"),
            new ReplicaAborted(Id, 0, 1, "b", Why, ReplicaCounters.None), new ReplicaCancelled(Id, 0, 1, "b", Why, ReplicaCounters.None), new TargetsRefused(Id, 1, Why),
        ];
        foreach (object message in late)
        {
            scenario.Do(message);
            scenario.NothingHappened();
        }

        Assert.IsType<SpecOpSettled>(scenario.Recorded[^1].Event);
    }

    [Fact]
    public void reports_of_another_epoch_change_nothing()
    {
        Scenario scenario = new();
        scenario.Do(Migrate(2));
        scenario.Do(new TargetsReserved(Id, 0, ["b", "c"], Why));
        object[] old =
        [
            new ReplicaStarted(Id, 0, 0, "b", "127.0.0.1:7000"), new ReplicaRoundsReported(Id, 0, [Round(0, 1)]), new ReplicaReady(Id, 0, 0, "b", 0, "d"),
            new ReplicaFailed(Id, 0, 0, "b", Why, ReplicaCounters.None), new ReplicaAborted(Id, 0, 2, "b", Why, ReplicaCounters.None),
        ];
        foreach (object message in old)
        {
            scenario.Do(message);
            scenario.NothingHappened();
        }
    }

    [Fact]
    public void reports_of_replicas_that_never_were_change_nothing()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        object[] strange =
        [
            new ReplicaStarted(Id, 9, 1, "x", "127.0.0.1:7000"), new ReplicaRoundsReported(Id, 1, [Round(9, 1)]), new ReplicaReady(Id, 9, 1, "x", 0, "d"), new ReplicaDeadline(Id, 9),
            new ReplicaFailed(Id, 9, 1, "x", Why, ReplicaCounters.None), new ReplicaCleaned(Id, 9, "x"), new ReplicaResumed(Id, 9, "x", Start),
            new OwnershipTransferred(Vm, Id, 9, "x", 2, 0, "d"),
        ];
        foreach (object message in strange)
        {
            scenario.Do(message);
            scenario.NothingHappened();
        }
    }

    [Fact]
    public void a_second_image_of_a_later_incarnation_is_recorded_and_an_earlier_one_is_not()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        scenario.Do(new ReplicaReady(Id, 0, 1, "b", 1, "d1"));
        scenario.Do(new ReplicaReady(Id, 0, 1, "b", 0, "d0"));
        scenario.NothingHappened();
        scenario.Do(new ReplicaReady(Id, 0, 1, "b", 2, "d2"));
        Assert.Equal(2, scenario.TheOne<ReplicaReady>().Incarnation);
    }

    [Fact]
    public void rounds_overtaken_by_the_end_of_their_replica_are_recorded_but_not_counted_again()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Do(new ReplicaFailed(Id, 0, 1, "b", Why, new ReplicaCounters(4096, 1, 1, 0, 10)));
        scenario.Do(new ReplicaRoundsReported(Id, 1, [Round(0, 1)]));
        Assert.Single(scenario.Last.Events);
        Assert.Equal(4096, scenario.State.Replicas[0].Counters.BytesSent);
    }

    [Fact]
    public void an_end_told_by_somebody_who_does_not_count_keeps_what_the_rounds_have_told()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Do(new ReplicaRoundsReported(Id, 1, [Round(0, 1), Round(0, 2)]));
        scenario.Ended(0, "b");
        Assert.Equal((8192, 2), (scenario.State.Replicas[0].Counters.BytesSent, scenario.State.Replicas[0].Counters.Rounds));
    }

    [Fact]
    public void messages_for_an_operation_that_never_was_change_nothing_but_a_reservation_is_given_back()
    {
        Scenario scenario = new();
        foreach (object message in Reports.Skip(2).Where(report => report is not CancelSpecOp))
        {
            scenario.Do(message);
            scenario.NothingHappened();
            Assert.Empty(scenario.Last.Effects);
        }

        scenario.Do(Reports[1]);
        scenario.NothingHappened();
        Assert.Equal(["b", "c"], Assert.Single(scenario.Sent<ReleaseTargets>()).HostIds);
    }

    [Fact]
    public void a_cancel_that_overtakes_its_request_ends_it_before_it_begins()
    {
        Scenario scenario = new();
        scenario.Do(new CancelSpecOp(Id));
        scenario.Do(new CancelSpecOp(Id));
        Assert.Single(scenario.Recorded);
        scenario.Do(Reports[0]);
        Assert.Equal("cancelled", scenario.State.Refused?.Reason.Code);
        Assert.Equal(SpecOpPhase.Refused, scenario.State.Phase);
    }

    [Fact]
    public void something_that_no_operation_listens_to_is_an_error()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        Assert.Throws<InvalidOperationException>(() => scenario.Do(new SelectTargets(Id, 0, 1, [], [], 1, "random", true, Start)));
    }

    internal static ReplicaRoundCompleted Round(int replica, int number, long pending = 100, double rate = 1e6, bool final = false) =>
        new(Id, replica, "b", number, final, 1, 0, 4096, 5, 10, pending, rate, Start);
}
