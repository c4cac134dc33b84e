using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>R2: "a target resumes only after its own OwnershipTransferred is durable and is the latest decision."</summary>
public sealed class TargetProtocolTests
{
    private static readonly StartReplica Command = new(Id, 0, 1, OperationKind.Migrate, Vm, "b", "a", Definition, 5, new CostLimits(60));
    private static readonly OwnershipView Open = Running("a") with { Version = 5, OpenOperationId = Id };
    private static readonly OwnershipView Ours = Open with { Version = 6, Epoch = 2, OwnerHostId = "b", OwnerOperationId = Id, OwnerReplica = 0 };

    private TargetState state = new(Command);
    private IReadOnlyList<TargetEffect> effects = [];

    [Fact]
    public void the_guest_starts_only_after_the_accepted_commit()
    {
        Ready();
        Step(new TargetInput.VoteReceived(5, 0, 1));
        Assert.Equal(new TransferOwnership(Id, 0, "b", 1, 5, 0, "d"), Assert.IsType<TargetEffect.AppendTransfer>(Assert.Single(effects)).Request);
        Step(new TargetInput.CommitAnswered(new OwnershipAnswer(true, Ours, null)));
        Assert.Equal(new TargetEffect.StartGuest(Ours), Assert.Single(effects));
        Step(new TargetInput.GuestStarted());
        Assert.Equal(TargetPhase.Running, state.Phase);
        Assert.IsType<ReplicaResumed>(effects.OfType<TargetEffect.Report>().Single().Message);
    }

    [Fact]
    public void a_commit_without_an_answer_is_asked_for_again_or_found_in_the_event_stream()
    {
        Committing();
        Step(new TargetInput.OwnershipUnanswered("lost"));
        Assert.Empty(effects);
        Step(new TargetInput.Tick());
        Assert.IsType<TargetEffect.AppendTransfer>(Assert.Single(effects));
        Step(new TargetInput.OwnershipObserved(Ours));
        Assert.Equal(new TargetEffect.StartGuest(Ours), Assert.Single(effects));
    }

    [Fact]
    public void an_image_whose_commit_was_refused_is_kept_until_the_owner_itself_has_refused()
    {
        Committing();
        Step(new TargetInput.CommitAnswered(new OwnershipAnswer(false, Open with { Version = 7, OpenOperationId = null }, new Reason("operation-over", "Cancelled."))));
        Assert.Equal(TargetPhase.Ready, state.Phase);
        Assert.Contains(effects, effect => effect is TargetEffect.TellSource { Resumed: false });
        Step(new TargetInput.Tick());
        Assert.IsType<TargetEffect.ReadOwnership>(Assert.Single(effects));
        Step(new TargetInput.OwnershipObserved(Open with { Version = 7, OpenOperationId = null }));
        Assert.Equal(TargetPhase.Ready, state.Phase);
        Step(new TargetInput.OwnershipObserved(Open with { Version = 8, OpenOperationId = null, VoidedVersion = 8 }));
        Assert.Equal(TargetPhase.Destroying, state.Phase);
    }

    [Fact]
    public void a_complete_image_is_committed_in_a_dead_sources_place_at_the_version_that_is_granted()
    {
        Ready();
        Step(Abort(1));
        Assert.Equal(TargetPhase.Ready, state.Phase);
        Assert.Equal(5, Assert.IsType<ReplicaReady>(effects.OfType<TargetEffect.Report>().Single().Message).OwnershipVersion);
        Step(new TargetInput.CommitGranted(new CommitReplica(Id, 0, 0, Vm, "b", 8, 0)));
        Step(new TargetInput.CommitGranted(new CommitReplica(Id, 0, 1, Vm, "b", 8, 1)));
        Assert.Equal(TargetPhase.Ready, state.Phase);
        Step(new TargetInput.CommitGranted(new CommitReplica(Id, 0, 1, Vm, "b", 8, 0)));
        Assert.Equal(8, Assert.IsType<TargetEffect.AppendTransfer>(Assert.Single(effects)).Request.ExpectedVersion);
    }

    [Fact]
    public void a_guest_that_dies_while_its_commit_is_under_way_is_given_up_whatever_became_of_the_commit()
    {
        Committing();
        Step(new TargetInput.GuestLost(Why));
        Assert.IsType<TargetEffect.ReadOwnership>(Assert.Single(effects));
        Step(new TargetInput.Tick());
        Assert.DoesNotContain(effects, effect => effect is TargetEffect.AppendTransfer);
        TargetState before = state;
        Step(new TargetInput.OwnershipObserved(Ours));
        Assert.Equal(TargetPhase.Destroying, state.Phase);
        Assert.IsType<WinnerLost>(effects.OfType<TargetEffect.Report>().Single().Message);
        Assert.DoesNotContain(effects, effect => effect is TargetEffect.StartGuest);

        state = before;
        Step(new TargetInput.OwnershipObserved(Open with { Version = 6, VoidedVersion = 6 }));
        Assert.Equal(TargetPhase.Destroying, state.Phase);
        Assert.DoesNotContain(effects, effect => effect is TargetEffect.Report { Message: WinnerLost });

        // The commit was at version 5: at a later one it can no longer succeed, and no image is here that could be waited for.
        state = before;
        Step(new TargetInput.OwnershipObserved(Open));
        Assert.Equal(TargetPhase.Committing, state.Phase);
        Step(new TargetInput.OwnershipObserved(Open with { Version = 8 }));
        Assert.Equal(TargetPhase.Destroying, state.Phase);
        Assert.IsType<ReplicaFailed>(effects.OfType<TargetEffect.Report>().Single().Message);
    }

    [Fact]
    public void a_shell_that_is_built_again_after_its_replica_has_won_and_ended_is_destroyed()
    {
        Receiving();
        Step(new TargetInput.OwnershipObserved(Ours));
        Assert.Equal(TargetPhase.Destroying, state.Phase);
        Assert.IsType<TargetEffect.DestroyShell>(Assert.Single(effects));
    }

    [Fact]
    public void a_refused_commit_of_a_void_image_destroys_the_shell_and_says_so()
    {
        Committing();
        Step(new TargetInput.CommitAnswered(new OwnershipAnswer(false, Open with { Version = 6, VoidedVersion = 6 }, new Reason("vote-refused", "Too late."))));
        Assert.Equal(TargetPhase.Destroying, state.Phase);
        Assert.DoesNotContain(effects, effect => effect is TargetEffect.StartGuest);
        Assert.Contains(effects, effect => effect is TargetEffect.TellSource { Resumed: false });
        Step(new TargetInput.ShellDestroyed());
        Assert.IsType<ReplicaCleaned>(effects.OfType<TargetEffect.Report>().Single().Message);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(0, 0)]
    [InlineData(0, 2)]
    public void a_vote_for_another_image_or_epoch_starts_no_commit(int incarnation, int epoch)
    {
        Ready();
        Step(new TargetInput.VoteReceived(5, incarnation, epoch));
        Assert.Equal(TargetPhase.Ready, state.Phase);
        Assert.IsType<TargetEffect.TellSource>(Assert.Single(effects));
    }

    [Fact]
    public void a_vote_that_comes_twice_is_not_contradicted()
    {
        Committing();
        Step(new TargetInput.VoteReceived(5, 0, 1));
        Assert.Equal(TargetPhase.Committing, state.Phase);
        Assert.Empty(effects);
    }

    [Fact]
    public void an_image_that_was_voided_gets_no_commit()
    {
        Ready();
        Step(new TargetInput.ImageVoided());
        Step(new TargetInput.VoteReceived(5, 0, 1));
        Assert.Equal(TargetPhase.Receiving, state.Phase);
        Assert.DoesNotContain(effects, effect => effect is TargetEffect.AppendTransfer);
    }

    [Fact]
    public void a_broken_stream_ends_a_shell_that_receives_but_not_one_that_is_ready()
    {
        Receiving();
        Step(new TargetInput.StreamLost(Why));
        Assert.Equal(TargetPhase.Destroying, state.Phase);

        state = new TargetState(Command);
        Ready();
        Step(new TargetInput.StreamLost(Why));
        Assert.Equal(TargetPhase.Ready, state.Phase);
        Assert.Equal(new TargetEffect.ReadOwnership(), Assert.Single(effects));
        Step(new TargetInput.OwnershipObserved(Open with { Version = 6 }));
        Assert.Equal(TargetPhase.Ready, state.Phase);
    }

    [Fact]
    public void a_ready_shell_obeys_the_event_stream_once_the_operation_is_over()
    {
        Ready();
        Step(new TargetInput.Tick());
        Assert.Equal(new TargetEffect.ReadOwnership(), Assert.Single(effects));
        Step(new TargetInput.OwnershipObserved(Ours with { OwnerHostId = "c", OwnerReplica = 1 }));
        Assert.Equal(TargetPhase.Destroying, state.Phase);
    }

    [Fact]
    public void what_an_emptied_database_says_does_not_end_a_ready_shell()
    {
        Ready();
        Step(new TargetInput.OwnershipObserved(OwnershipDecider.Unknown(Vm)));
        Assert.Equal(TargetPhase.Ready, state.Phase);
        Assert.Empty(effects);
    }

    [Fact]
    public void nothing_but_the_answer_ends_a_commit_that_is_under_way()
    {
        Committing();
        foreach (TargetInput end in new TargetInput[] { Abort(1), new TargetInput.SourceAborted(Why), new TargetInput.StreamLost(Why), new TargetInput.ImageVoided(), new TargetInput.OwnershipObserved(Open) })
        {
            Step(end);
            Assert.Equal(TargetPhase.Committing, state.Phase);
            Assert.Empty(effects);
        }
    }

    [Theory]
    [InlineData(TargetPhase.Starting)]
    [InlineData(TargetPhase.Running)]
    public void no_message_ends_a_replica_that_has_committed(TargetPhase phase)
    {
        Committing();
        Step(new TargetInput.CommitAnswered(new OwnershipAnswer(true, Ours, null)));
        if (phase == TargetPhase.Running)
        {
            Step(new TargetInput.GuestStarted());
        }

        OwnershipView moved = Ours with { Version = 9, Epoch = 3, OwnerHostId = "c", OwnerOperationId = Earlier };
        foreach (TargetInput end in new TargetInput[] { Abort(1), new TargetInput.SourceAborted(Why), new TargetInput.StreamLost(Why), new TargetInput.OwnershipObserved(moved), new TargetInput.Start() })
        {
            Step(end);
            Assert.Equal(phase, state.Phase);
            Assert.DoesNotContain(effects, effect => effect is TargetEffect.DestroyShell or TargetEffect.BuildShell);
        }
    }

    [Fact]
    public void a_shell_is_built_once_and_never_after_the_end()
    {
        Step(new TargetInput.Start());
        Assert.IsType<TargetEffect.BuildShell>(Assert.Single(effects));
        Step(new TargetInput.Start());
        Assert.Empty(effects);
        Step(Abort(1));
        Assert.Equal((TargetPhase.Destroying, 0), (state.Phase, effects.Count));
        Step(new TargetInput.ShellBuilt("127.0.0.1:7000", ""));
        Assert.IsType<TargetEffect.DestroyShell>(Assert.Single(effects));
        Step(new TargetInput.ShellDestroyed());
        Step(new TargetInput.Start());
        Assert.IsType<ReplicaCleaned>(Assert.IsType<TargetEffect.Report>(Assert.Single(effects)).Message);
        Step(Abort(1));
        Assert.IsType<ReplicaCleaned>(Assert.IsType<TargetEffect.Report>(Assert.Single(effects)).Message);
    }

    [Fact]
    public void a_shell_that_could_not_be_built_leaves_nothing()
    {
        Step(new TargetInput.Start());
        Step(new TargetInput.ShellFailed(new Reason("no-memory", "None.")));
        Assert.Equal(TargetPhase.Gone, state.Phase);
        Assert.Equal(["ReplicaFailed", "ReplicaCleaned"], effects.OfType<TargetEffect.Report>().Select(report => report.Message.GetType().Name));
    }

    [Fact]
    public void a_command_of_another_epoch_ends_nothing()
    {
        Ready();
        Step(Abort(0));
        Assert.Empty(effects);
        Step(Abort(1));
        Assert.IsType<TargetEffect.ReadOwnership>(effects[^1]);
    }

    [Fact]
    public void a_committed_guest_that_does_not_start_is_tried_again_and_nothing_else_is()
    {
        Committing();
        Step(new TargetInput.CommitAnswered(new OwnershipAnswer(true, Ours, null)));
        Step(new TargetInput.GuestStartFailed("busy"));
        Step(new TargetInput.Tick());
        Assert.Equal(new TargetEffect.StartGuest(Ours), Assert.Single(effects));

        state = new TargetState(Command);
        Receiving();
        Step(Abort(1));
        Step(new TargetInput.GuestStartFailed("busy"));
        Step(new TargetInput.Tick());
        Assert.Empty(effects);
    }

    [Fact]
    public void a_power_on_commits_as_soon_as_its_shell_is_built()
    {
        state = new TargetState(Command with { Kind = OperationKind.PowerOn, Epoch = 0, OwnershipVersion = 2, SourceHostId = null });
        Step(new TargetInput.Start());
        Step(new TargetInput.ShellBuilt(null, "built"));
        Assert.Equal(new TransferOwnership(Id, 0, "b", 0, 2, 0, "built"), Assert.IsType<TargetEffect.AppendTransfer>(effects[^1]).Request);
    }

    private static TargetInput.Abort Abort(int epoch) => new(new AbortReplica(Id, 0, epoch, Vm, "b", ReplicaOutcome.Aborted, Why));

    private void Receiving()
    {
        Step(new TargetInput.Start());
        Step(new TargetInput.ShellBuilt("127.0.0.1:7000", ""));
    }

    private void Ready()
    {
        Receiving();
        Step(new TargetInput.ImageComplete(0, "d", 5));
    }

    private void Committing()
    {
        Ready();
        Step(new TargetInput.VoteReceived(5, 0, 1));
    }

    private void Step(TargetInput input) => (state, effects) = TargetProtocol.Step(state, input, Start);
}
