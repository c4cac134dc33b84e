using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>R6: "the crash of the source after a READY is recovered from that target once an operator or a fencing device has confirmed the source dead."</summary>
public sealed class FencingTests
{
    private static readonly FenceOperation SourceDead = new(Id, "a", "operator");

    [Fact]
    public void a_machine_of_a_dead_source_runs_from_the_complete_image_and_the_operation_ends_clean()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Do(new ReplicaReady(Id, 1, 1, "c", 0, "d", 5));
        scenario.Do(SourceDead);
        Assert.Equal((OperationOutcome.Failed, "source-fenced"), (scenario.State.Completed!.Outcome, scenario.State.Completed.Reason.Code));
        Assert.Equal(["b", "c"], scenario.Sent<AbortReplica>().Select(abort => abort.HostId).Order());
        Assert.Empty(scenario.Sent<ReleaseSource>());

        FencingDecision decision = Decide(scenario);
        CommitReplica grant = decision.Grant!;
        scenario.Append(decision.Events);
        Assert.Equal((1, "c", scenario.View.Version, 1, false), (grant.Replica, grant.HostId, grant.OwnershipVersion, grant.Epoch, decision.IsOver));

        OwnershipDecision commit = OwnershipDecider.Transfer(scenario.View, new TransferOwnership(Id, 1, "c", 1, grant.OwnershipVersion, 0, "d"));
        Assert.True(commit.Accepted);
        scenario.Append(commit.Events);
        scenario.Do(commit.Events[0]);
        Assert.Equal((1, null, "c", 2), (scenario.State.RecoveredReplica, scenario.View.OpenOperationId, scenario.View.OwnerHostId, scenario.View.Epoch));
        Assert.Equal(OperationOutcome.Failed, scenario.State.Completed.Outcome);
        scenario.Do(new ReplicaCleaned(Id, 0, "b"));
        Assert.Equal(SpecOpPhase.Completed, scenario.State.Phase);
        scenario.Do(new ReplicaResumed(Id, 1, "c", Start));
        Assert.Equal(SpecOpPhase.Settled, scenario.State.Phase);
        Assert.True(Decide(scenario).IsOver);
    }

    [Fact]
    public void an_image_that_the_source_has_made_void_is_never_recovered_from()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        scenario.Do(new ReplicaReady(Id, 0, 1, "b", 0, "d", 5));
        scenario.Append(OwnershipDecider.Refuse(scenario.View, new RefuseTransfer(Id, "a", 1, 5, Why)).Events);
        scenario.Do(SourceDead);
        FencingDecision decision = Decide(scenario);
        Assert.Null(decision.Grant);
        Assert.Null(Assert.IsType<OwnerFenced>(Assert.Single(decision.Events)).Recovery);
        scenario.Append(decision.Events);
        Assert.Equal((null, 2), (scenario.View.OwnerHostId, scenario.View.Epoch));
    }

    [Fact]
    public void a_cancelled_operations_image_is_as_good_as_any_until_its_source_goes_on()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        scenario.Do(new ReplicaReady(Id, 0, 1, "b", 0, "d", 5));
        scenario.Do(new CancelSpecOp(Id));
        scenario.Do(SourceDead);
        Assert.Equal(OperationOutcome.Cancelled, scenario.State.Completed!.Outcome);
        Assert.Equal("b", Decide(scenario).Grant!.HostId);
    }

    [Fact]
    public void nothing_is_given_up_while_a_target_has_not_said_whether_it_holds_an_image()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        Assert.Equal((0, false), Told(Decide(scenario)));
        scenario.Do(SourceDead);
        Assert.Equal((0, false), Told(Decide(scenario)));
        scenario.Do(new ReplicaCleaned(Id, 0, "b"));
        Assert.Equal((0, false), Told(Decide(scenario)));
        scenario.Do(new ReplicaReady(Id, 1, 1, "c", 0, "d", 5));
        Assert.Equal("c", Decide(scenario).Grant!.HostId);
    }

    [Fact]
    public void when_the_chosen_target_dies_too_the_next_image_is_granted_at_a_version_of_its_own_and_then_none()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Do(new ReplicaReady(Id, 0, 1, "b", 0, "d", 5));
        scenario.Do(new ReplicaReady(Id, 1, 1, "c", 0, "d", 5));
        scenario.Do(SourceDead);
        FencingDecision first = Decide(scenario);
        scenario.Append(first.Events);
        Assert.Equal(first.Grant, Decide(scenario).Grant);
        Assert.Empty(Decide(scenario).Events);

        scenario.Do(new FenceOperation(Id, first.Grant!.HostId, "operator"));
        FencingDecision second = Decide(scenario);
        scenario.Append(second.Events);
        Assert.NotEqual(first.Grant.HostId, second.Grant!.HostId);
        Assert.True(second.Grant.OwnershipVersion > first.Grant.OwnershipVersion);
        Assert.False(OwnershipDecider.Transfer(scenario.View, new TransferOwnership(Id, first.Grant.Replica, first.Grant.HostId, 1, first.Grant.OwnershipVersion, 0, "d")).Accepted);

        scenario.Do(new ReplicaCleaned(Id, second.Grant.Replica, second.Grant.HostId));
        FencingDecision last = Decide(scenario);
        scenario.Append(last.Events);
        Assert.Equal((true, null, null, null), (last.IsOver, last.Grant, scenario.View.OwnerHostId, scenario.View.OpenOperationId));
    }

    [Fact]
    public void a_refusal_of_the_dead_source_that_arrives_late_does_not_take_the_image_away()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        scenario.Do(new ReplicaReady(Id, 0, 1, "b", 0, "d", 5));
        scenario.Do(SourceDead);
        scenario.Append(Decide(scenario).Events);
        OwnershipDecision late = OwnershipDecider.Refuse(scenario.View, new RefuseTransfer(Id, "a", 1, 5, Why));
        Assert.Equal((false, "recovering", 0), (late.Accepted, late.Reason?.Code, late.Events.Count));
        Assert.NotNull(Decide(scenario).Grant);
    }

    [Fact]
    public void a_cancel_during_the_recovery_only_makes_the_grant_come_again()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        scenario.Do(new ReplicaReady(Id, 0, 1, "b", 0, "d", 5));
        scenario.Do(SourceDead);
        FencingDecision first = Decide(scenario);
        scenario.Append(first.Events);
        scenario.Append(OwnershipDecider.Close(scenario.View, Id, OperationOutcome.Cancelled, "cancel", Why));
        FencingDecision again = Decide(scenario);
        Assert.IsType<OwnerFenced>(Assert.Single(again.Events));
        Assert.True(again.Grant!.OwnershipVersion > first.Grant!.OwnershipVersion);
    }

    [Fact]
    public void a_dead_target_only_leaves_the_race_and_a_dead_winner_is_not_waited_for()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Do(new FenceOperation(Id, "b", "operator"));
        Assert.Equal((SpecOpPhase.Racing, "host-fenced", true), (scenario.State.Phase, scenario.State.Replicas[0].Reason?.Code, scenario.State.Replicas[0].Cleaned));
        scenario.Do(scenario.Commit(1, "c"));
        scenario.Do(new FenceOperation(Id, "c", "operator"));
        Assert.Equal(SpecOpPhase.Completed, scenario.State.Phase);
        scenario.Do(new SourceReleased(Id, "a", true, 1, [], []));
        Assert.Equal((SpecOpPhase.Settled, OperationOutcome.Succeeded), (scenario.State.Phase, scenario.State.Completed!.Outcome));
    }

    [Fact]
    public void a_dead_host_gets_no_further_replica_and_none_is_waited_for_there()
    {
        Scenario naive = Racing("retry-same-server", "b");
        naive.Do(new FenceOperation(Id, "b", "operator"));
        Assert.Equal(OperationOutcome.Failed, naive.State.Completed!.Outcome);
        Assert.DoesNotContain(naive.Last.Effects, effect => effect.Message is RetryDeadline);

        Scenario late = Racing("retry-repick", "b");
        late.Ended(0, "b");
        late.Do(new FenceOperation(Id, "b", "operator"));
        late.Do(new TargetsReserved(Id, 1, ["b"], Why));
        Assert.Empty(late.Sent<StartReplica>());
        Assert.Equal("host-fenced", late.TheOne<ReplicaFailed>().Reason.Code);
        Assert.True(late.State.Replicas[1].Cleaned);
    }

    [Fact]
    public void a_winner_whose_guest_died_before_it_ran_is_not_waited_for()
    {
        Scenario scenario = Racing(hosts: ["b"]);
        scenario.Commit(0, "b");
        scenario.Do(new WinnerLost(Id, 0, "b", Why));
        Assert.Equal((OperationOutcome.Succeeded, true), (scenario.State.Completed!.Outcome, scenario.State.IsWinnerLost));
        scenario.Do(new SourceReleased(Id, "a", true, 1, [], []));
        Assert.Equal(SpecOpPhase.Settled, scenario.State.Phase);
    }

    [Fact]
    public void a_fence_that_comes_again_or_is_about_another_host_changes_nothing()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Do(new FenceOperation(Id, "z", "operator"));
        scenario.NothingHappened();
        scenario.Do(SourceDead);
        scenario.Do(SourceDead);
        scenario.NothingHappened();
        Assert.True(Fencing.Decide(scenario.View, "z", "operator", [scenario.State]).IsOver);
    }

    [Fact]
    public void a_power_on_is_refused_while_it_is_not_known_whether_the_machine_runs()
    {
        SpecOpFacts facts = new(Running("a"), [], new Reason("silent", "host a has not been heard for 40 s."));
        SpecOpDecision decision = SpecOpDecider.Decide(new SpecOpState(Id), PowerOn(1), facts, Start);
        SpecOpRefused refused = Assert.IsType<SpecOpRefused>(Assert.Single(decision.Events));
        Assert.Equal("owner-unknown", refused.Reason.Code);
        Assert.Contains("specmesh host fence a", refused.Reason.Detail, StringComparison.Ordinal);
        Assert.Equal("already-running", ((SpecOpRefused)SpecOpDecider.Decide(new SpecOpState(Id), PowerOn(1), facts with { OwnerSuspicion = null }, Start).Events[0]).Reason.Code);
    }

    [Fact]
    public void an_image_can_only_be_left_by_an_operation_of_the_present_epoch()
    {
        FencedMachine machine = FencedMachine.Unknown(Vm);
        object[] events =
        [
            new VmDefined(Vm, Definition), new OperationOpened(Vm, Earlier, OperationKind.PowerOn, 0), new OwnershipTransferred(Vm, Earlier, 0, "a", 1, 0, "d"),
            new OperationClosed(Vm, Earlier, OperationOutcome.Succeeded), new OperationOpened(Vm, Id, OperationKind.Migrate, 1),
        ];
        Assert.Equal([Id], events.Aggregate(machine, FencedMachine.Evolve).OperationIds);
    }

    private static FencingDecision Decide(Scenario scenario) => Fencing.Decide(scenario.View, "a", "operator", [scenario.State]);

    private static (int Events, bool IsOver) Told(FencingDecision decision) => (decision.Events.Count, decision.IsOver);
}
