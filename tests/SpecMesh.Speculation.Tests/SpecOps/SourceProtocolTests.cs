using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>
/// DESIGN section 7: "Until it has voted it may resume freely. [...] From here it may resume only after its own TransferRefused append succeeded. [...] It never votes
/// twice at one version."
/// </summary>
public sealed class SourceProtocolTests : SourceSteps
{
    [Fact]
    public void the_stop_rule_makes_the_candidate_and_the_vote_is_journaled_before_it_is_sent()
    {
        Copying(0, 1);
        Step(Ended(0, pending: 0));
        Assert.IsType<SourceEffect.SuspendGuest>(Effects[^1]);
        Step(new SourceInput.GuestSuspended());
        Assert.Equal(new SourceEffect.FinishReplica(0, 0, 5), Assert.Single(Effects));
        Step(new SourceInput.ReadyReceived(0, 0, "d"));
        Assert.Equal(new SourceEffect.JournalVote(0, "host-0", 5, 0, "d"), Assert.Single(Effects));
        Step(new SourceInput.VoteJournaled());
        Assert.Equal(new SourceEffect.SendVote(0, 5, 0, 1), Assert.Single(Effects));
    }

    [Fact]
    public void the_guest_is_not_suspended_before_the_event_stream_has_confirmed_the_operation()
    {
        Step(new SourceInput.Join(Connect(0)));
        Step(new SourceInput.StreamOpened(0));
        Assert.Contains(new SourceEffect.ReadOwnership(), Effects);
        Step(Ended(0, pending: 0));
        Assert.Equal(SourcePhase.Copying, State.Phase);
        Tick();
        Assert.Equal(new SourceEffect.ReadOwnership(), Assert.Single(Effects));
        Step(new SourceInput.OwnershipObserved(Open));
        Assert.Equal(new SourceEffect.RunRound(0), Assert.Single(Effects));
        Step(Ended(0, pending: 0));
        Assert.Equal(SourcePhase.Suspending, State.Phase);
    }

    [Fact]
    public void a_command_that_comes_after_its_operation_lets_the_guest_run_on()
    {
        Step(new SourceInput.Join(Connect(0)));
        Step(new SourceInput.OwnershipObserved(Open with { Version = 12, Epoch = 3, OpenOperationId = Earlier }));
        Assert.Equal((SourcePhase.Released, false), (State.Phase, State.Destroyed!.Value));
        Assert.DoesNotContain(Effects, effect => effect is SourceEffect.DestroyGuest or SourceEffect.ResumeGuest);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void a_command_of_another_epoch_is_refused(int epoch)
    {
        Step(new SourceInput.Join(Connect(0) with { Epoch = epoch }));
        Assert.Empty(State.Replicas);
        Copying(1);
        Step(new SourceInput.Abort(new AbortReplica(Id, 1, epoch, Vm, "a", ReplicaOutcome.Aborted, Why)));
        Assert.True(State.Replicas[1] is { Ended: false });
    }

    [Fact]
    public void before_the_last_pages_the_guest_resumes_at_once_as_a_new_incarnation()
    {
        Copying(0, 1);
        Step(Ended(0, pending: 0));
        Step(new SourceInput.StreamFailed(0, Why, ReplicaCounters.None));
        Step(new SourceInput.GuestSuspended());
        Assert.Equal((SourcePhase.Resuming, 1), (State.Phase, State.Incarnation));
        Assert.Contains(new SourceEffect.ResumeGuest(1), Effects);
        Step(new SourceInput.GuestResumed());
        Assert.Equal(SourcePhase.Copying, State.Phase);
    }

    [Fact]
    public void once_last_pages_were_sent_the_guest_resumes_only_after_the_refusal_that_makes_their_image_void()
    {
        Finishing();
        Step(new SourceInput.StreamFailed(0, Why, ReplicaCounters.None));
        Assert.Equal((SourcePhase.Refusing, 0), (State.Phase, State.Incarnation));
        Assert.DoesNotContain(Effects, effect => effect is SourceEffect.ResumeGuest);
        Assert.Equal(5, Assert.Single(Effects.OfType<SourceEffect.AppendRefusal>()).OwnershipVersion);
        Step(new SourceInput.OwnershipObserved(Closed));
        Assert.Equal(SourcePhase.Refusing, State.Phase);
        Step(new SourceInput.RefusalAnswered(new OwnershipAnswer(true, Closed with { Version = 8, VoidedVersion = 8 }, null)));
        Assert.Equal((SourcePhase.Resuming, 1), (State.Phase, State.Incarnation));
        Step(new SourceInput.GuestResumed());
        Assert.Equal(SourcePhase.Released, State.Phase);
    }

    [Fact]
    public void a_source_that_was_taken_for_dead_waits_for_the_end_of_the_recovery()
    {
        Refusing();
        OwnershipView recovering = Open with { Version = 8, Recovery = new HeldImage(Id, 0, "host-0", 5, 0) };
        Step(new SourceInput.RefusalAnswered(new OwnershipAnswer(false, recovering, new Reason("recovering", "It is being recovered."))));
        Assert.Equal(SourcePhase.Refusing, State.Phase);
        Tick();
        Assert.IsType<SourceEffect.AppendRefusal>(Assert.Single(Effects));
        Step(new SourceInput.OwnershipObserved(Won("host-0") with { Version = 9 }));
        Assert.Equal(SourcePhase.Destroying, State.Phase);
    }

    [Fact]
    public void the_version_of_an_image_is_read_once_a_migration_stream_is_open_and_not_before()
    {
        Step(new SourceInput.Join(Connect(0)));
        Assert.DoesNotContain(Effects, effect => effect is SourceEffect.ReadOwnership);
        Step(new SourceInput.OwnershipObserved(Open));
        Assert.False(State.Confirmed);
        Step(new SourceInput.StreamOpened(0));
        Assert.Contains(Effects, effect => effect is SourceEffect.ReadOwnership);
        Step(new SourceInput.OwnershipObserved(Open with { Version = 7 }));
        Assert.Equal((true, 7L), (State.Confirmed, State.OwnershipVersion));
    }

    [Fact]
    public void a_source_whose_streams_never_opened_finds_out_by_itself_that_its_operation_is_over()
    {
        Step(new SourceInput.Join(Connect(0)));
        Step(new SourceInput.StreamFailed(0, Why, ReplicaCounters.None));
        Tick();
        Assert.IsType<SourceEffect.ReadOwnership>(Assert.Single(Effects));
        Step(new SourceInput.OwnershipObserved(Closed));
        Assert.Equal(SourcePhase.Released, State.Phase);
    }

    [Fact]
    public void an_answer_that_was_asked_for_before_the_migration_stream_was_open_confirms_nothing()
    {
        Step(new SourceInput.Join(Connect(0)));
        Step(new SourceInput.StreamFailed(0, Why, ReplicaCounters.None));
        Tick();
        Step(new SourceInput.Join(Connect(1)));
        Step(new SourceInput.StreamOpened(1));
        Step(new SourceInput.OwnershipObserved(Open));
        Assert.False(State.Confirmed);
        Tick();
        Assert.Equal(new SourceEffect.ReadOwnership(), Assert.Single(Effects));
        Step(new SourceInput.OwnershipObserved(Open with { Version = 7 }));
        Assert.Equal((true, 7L), (State.Confirmed, State.OwnershipVersion));
    }

    [Fact]
    public void a_guest_that_dies_after_its_last_pages_may_still_be_saved_by_the_candidate()
    {
        Finishing();
        Step(new SourceInput.GuestLost("gone"));
        Assert.Equal((SourcePhase.Finishing, false, true), (State.Phase, State.Replicas[0].Ended, State.Replicas[1].Ended));
        Step(new SourceInput.ReadyReceived(0, 0, "d"));
        Step(new SourceInput.VoteJournaled());
        Assert.Contains(Effects, effect => effect is SourceEffect.SendVote);
    }

    [Fact]
    public void a_replica_that_waited_goes_on_once_the_guest_runs_again()
    {
        Finishing();
        Step(Ended(1, pending: 0));
        Assert.DoesNotContain(Effects, effect => effect is SourceEffect.RunRound or SourceEffect.SuspendGuest);
        Step(new SourceInput.StreamFailed(0, Why, ReplicaCounters.None));
        Refused();
        Step(new SourceInput.GuestResumed());
        Assert.Equal(new SourceEffect.RunRound(1), Assert.Single(Effects));
    }

    [Fact]
    public void last_pages_that_take_too_long_end_the_candidate_before_its_vote()
    {
        Finishing();
        Now += SourceLimits.Default.PauseLimit;
        Tick();
        Assert.Equal(SourcePhase.Finishing, State.Phase);
        Now += TimeSpan.FromMilliseconds(1);
        Tick();
        Assert.Equal(SourcePhase.Refusing, State.Phase);
    }

    [Fact]
    public void an_image_of_an_earlier_incarnation_or_of_no_candidate_gets_no_vote()
    {
        Finishing();
        Step(new SourceInput.ReadyReceived(1, 0, "d"));
        Step(new SourceInput.ReadyReceived(0, 1, "d"));
        Assert.Equal(SourcePhase.Finishing, State.Phase);
        Assert.Empty(Effects);
    }

    [Fact]
    public void after_the_vote_only_a_refusal_that_is_durable_lets_the_guest_run()
    {
        foreach (SourceInput end in new SourceInput[] { new SourceInput.StreamFailed(0, Why, ReplicaCounters.None), new SourceInput.Abort(Abort(0)), new SourceInput.Tick(NoCounters) })
        {
            State = new SourceState(Id, Vm, "a", 1, 5);
            Voted();
            Now += TimeSpan.FromSeconds(3);
            Step(end);
            Assert.Equal(SourcePhase.Refusing, State.Phase);
            Assert.Equal(5, Assert.IsType<SourceEffect.AppendRefusal>(Assert.Single(Effects)).OwnershipVersion);
            Step(new SourceInput.OwnershipUnanswered("lost"));
            Assert.Empty(Effects);
            Tick();
            Assert.IsType<SourceEffect.AppendRefusal>(Assert.Single(Effects));
            Step(new SourceInput.RefusalAnswered(new OwnershipAnswer(true, Open with { Version = 6 }, null)));
            Assert.Equal((SourcePhase.Resuming, 6L), (State.Phase, State.OwnershipVersion));
        }
    }

    [Fact]
    public void the_answer_to_an_earlier_votes_refusal_does_not_end_the_present_vote()
    {
        Refusing();
        SourceInput.RefusalAnswered answer = new(new OwnershipAnswer(true, Open with { Version = 6 }, null));
        Step(answer);
        Step(new SourceInput.GuestResumed());
        Step(Ended(1, pending: 0));
        Step(new SourceInput.GuestSuspended());
        Step(new SourceInput.ReadyReceived(1, 1, "d1"));
        Step(new SourceInput.VoteJournaled());
        Assert.Equal(new SourceEffect.SendVote(1, 6, 1, 1), Assert.Single(Effects));
        Now += TimeSpan.FromSeconds(3);
        Tick();
        Step(answer);
        Assert.Equal(SourcePhase.Refusing, State.Phase);
        Assert.Empty(Effects);
        Step(new SourceInput.RefusalAnswered(new OwnershipAnswer(true, Open with { Version = 7 }, null)));
        Assert.Equal(SourcePhase.Resuming, State.Phase);
    }

    [Fact]
    public void a_refusal_that_came_too_late_means_that_the_copy_is_given_up()
    {
        Refusing();
        Step(new SourceInput.RefusalAnswered(new OwnershipAnswer(false, Won("host-0"), new Reason("transferred", "It happened."))));
        Assert.Equal(SourcePhase.Destroying, State.Phase);
        Assert.Equal(new SourceEffect.DestroyGuest(), Effects[^1]);
        Step(new SourceInput.GuestDestroyed());
        Assert.True(Assert.IsType<SourceReleased>(Effects.OfType<SourceEffect.Report>().Single().Message).Destroyed);
    }

    [Fact]
    public void the_copy_is_destroyed_only_when_the_event_stream_names_another_host()
    {
        Voted();
        Step(new SourceInput.ResumedHint(0));
        Assert.Equal(new SourceEffect.ReadOwnership(), Assert.Single(Effects));
        Step(new SourceInput.OwnershipObserved(Open));
        Assert.Equal(SourcePhase.Voted, State.Phase);
        Step(new SourceInput.OwnershipObserved(Won("host-0")));
        Assert.Equal(SourcePhase.Destroying, State.Phase);
        Assert.Equal(["won", "lost-the-race"], Effects.OfType<SourceEffect.CloseStream>().Select(close => close.Reason.Code));
        Assert.Empty(Effects.OfType<SourceEffect.Report>());
    }

    [Fact]
    public void a_copy_that_was_voted_away_is_not_resumed_when_the_machine_has_come_back()
    {
        Voted();
        Step(new SourceInput.OwnershipObserved(Closed with { Version = 12, Epoch = 3, OwnerHostId = "a" }));
        Assert.Equal(SourcePhase.Destroying, State.Phase);
        Assert.DoesNotContain(Effects, effect => effect is SourceEffect.ResumeGuest);
    }

    [Fact]
    public void what_an_emptied_database_says_ends_nothing()
    {
        Voted();
        Step(new SourceInput.OwnershipObserved(OwnershipDecider.Unknown(Vm)));
        Assert.Equal(SourcePhase.Voted, State.Phase);
        Assert.Empty(Effects);
    }

    [Fact]
    public void a_vote_that_the_event_stream_has_overtaken_is_void_and_the_next_one_is_given_at_the_latest_version()
    {
        Voted();
        Step(new SourceInput.OwnershipObserved(Open with { Version = 6 }));
        Assert.Equal(SourcePhase.Refusing, State.Phase);
        Step(new SourceInput.RefusalAnswered(new OwnershipAnswer(true, Open with { Version = 7, VoidedVersion = 7 }, null)));
        Assert.Equal((SourcePhase.Resuming, 7L), (State.Phase, State.OwnershipVersion));
        Step(new SourceInput.GuestResumed());
        Step(new SourceInput.OwnershipObserved(Open with { Version = 8 }));
        Assert.Equal(8, State.OwnershipVersion);
    }

    [Fact]
    public void while_a_vote_is_written_nothing_changes_the_version_that_it_is_given_at()
    {
        Finishing();
        Step(new SourceInput.ReadyReceived(0, 0, "d"));
        Step(new SourceInput.OwnershipObserved(Open with { Version = 6 }));
        Step(new SourceInput.VoteJournaled());
        Assert.Equal(new SourceEffect.SendVote(0, 5, 0, 1), Assert.Single(Effects));
    }

    [Fact]
    public void a_candidate_that_ends_while_its_vote_is_written_is_refused_and_reported_once()
    {
        foreach (SourceInput written in new SourceInput[] { new SourceInput.VoteJournaled(), new SourceInput.JournalFailed("disk full") })
        {
            State = new SourceState(Id, Vm, "a", 1, 5);
            Finishing();
            Step(new SourceInput.ReadyReceived(0, 0, "d"));
            Step(new SourceInput.StreamFailed(0, Why, ReplicaCounters.None));
            Assert.Single(Effects.OfType<SourceEffect.Report>());
            Step(written);
            Assert.Equal(SourcePhase.Refusing, State.Phase);
            Assert.IsType<SourceEffect.AppendRefusal>(Assert.Single(Effects));
        }
    }

    [Fact]
    public void the_end_of_the_operation_lets_the_source_go_and_it_says_so_whenever_it_is_asked()
    {
        Copying(0);
        Step(new SourceInput.Release());
        Assert.Equal(new SourceEffect.ReadOwnership(), Assert.Single(Effects));
        Step(new SourceInput.OwnershipObserved(Closed));
        Assert.Equal(SourcePhase.Released, State.Phase);
        Step(new SourceInput.Release());
        Assert.False(Assert.IsType<SourceReleased>(Effects.OfType<SourceEffect.Report>().Single().Message).Destroyed);
    }

    [Fact]
    public void a_guest_that_died_ends_every_replica_but_the_one_that_may_have_it()
    {
        Voted();
        Step(new SourceInput.GuestLost("killed"));
        Assert.Equal((SourcePhase.Voted, false, true), (State.Phase, State.Replicas[0].Ended, State.Replicas[1].Ended));
    }

    [Fact]
    public void the_time_that_the_guest_stood_still_is_added_up()
    {
        Finishing();
        Now += TimeSpan.FromMilliseconds(40);
        Step(new SourceInput.StreamFailed(0, Why, ReplicaCounters.None));
        Refused();
        Step(new SourceInput.GuestResumed());
        Step(Ended(1, pending: 0));
        Now += TimeSpan.FromMilliseconds(30);
        Step(new SourceInput.GuestSuspended());
        Step(new SourceInput.SuspendFailed("too late to fail"));
        Step(new SourceInput.ReadyReceived(1, 1, "d"));
        Step(new SourceInput.VoteJournaled());
        Step(new SourceInput.ResumedHint(1));
        Now += TimeSpan.FromSeconds(1);
        Step(new SourceInput.OwnershipObserved(Won("host-1")));
        Assert.Equal(70, State.DowntimeMs, 3);
    }
}
