using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>DESIGN section 7, 10: "After a crash an agent reads its journal and the event stream before it touches any paused guest."</summary>
public sealed class RecoveryTests
{
    private static readonly OwnershipView Open = Running("a") with { Version = 5, OpenOperationId = Id };
    private static readonly JournaledVote Vote = new(Id, 0, "b", 1, 5, 0, "d");
    private static readonly (int, string, long) Image = (3, "d", 5);

    [Theory]
    [InlineData(GuestState.Running, false, RecoveryAction.Adopt)]
    [InlineData(GuestState.Running, true, RecoveryAction.Adopt)]
    [InlineData(GuestState.Suspended, false, RecoveryAction.RefuseFirst)]
    [InlineData(GuestState.Suspended, true, RecoveryAction.RefuseFirst)]
    [InlineData(GuestState.Paused, false, RecoveryAction.Resume)]
    [InlineData(GuestState.Paused, true, RecoveryAction.RefuseFirst)]
    public void the_owners_guest_runs_on_unless_it_stood_still_for_a_migration(GuestState guest, bool voted, RecoveryAction expected)
    {
        JournaledVote? vote = voted ? Vote : null;
        Assert.Equal(expected, Decide(guest, null, vote, Open));

        // The tag of the replica that it once won as changes nothing.
        Assert.Equal(expected, Recovery.Decide(new FoundGuest(Vm, "a", guest, (Earlier, 0), 1, vote, ImageVersion: 4), Open).Action);
    }

    [Fact]
    public void an_empty_shell_of_a_replica_that_has_won_is_not_the_machine()
    {
        FoundGuest shell = new(Vm, "a", GuestState.Paused, (Earlier, 0), 0, null);
        Assert.Equal((RecoveryAction.Destroy, "empty-shell"), (Recovery.Decide(shell, Open).Action, Recovery.Decide(shell, Open).Reason.Code));
        Assert.Equal(RecoveryAction.Keep, Recovery.Decide(shell with { JournalWasThere = false }, Open).Action);
        Assert.Equal(RecoveryAction.Resume, Recovery.Decide(shell with { ImageVersion = 0 }, Open).Action);
    }

    [Fact]
    public void a_guest_that_stood_still_goes_on_after_a_refusal_of_its_own_agent_and_not_after_another()
    {
        FoundGuest found = new(Vm, "a", GuestState.Suspended, null, 0, Vote);
        OwnershipView cancelled = Open with { Version = 7, OpenOperationId = null };
        Assert.Equal(RecoveryAction.RefuseFirst, Recovery.Decide(found, cancelled).Action);
        Assert.Equal(RecoveryAction.RefuseFirst, Recovery.Decide(found with { RefusedAt = 7 }, cancelled with { VoidedVersion = 7 }).Action);
        Assert.Equal(RecoveryAction.Resume, Recovery.Decide(found with { RefusedAt = 7 }, cancelled with { Version = 8, VoidedVersion = 8 }).Action);
    }

    [Fact]
    public void a_complete_image_is_kept_until_it_is_void_and_a_guest_from_after_the_databases_end_is_kept()
    {
        FoundGuest shell = new(Vm, "b", GuestState.Paused, (Id, 0), 1, null, ImageVersion: 5);
        OwnershipView closed = Open with { Version = 7, OpenOperationId = null };
        Assert.Equal(RecoveryAction.Keep, Recovery.Decide(shell, closed).Action);
        Assert.Equal(RecoveryAction.Destroy, Recovery.Decide(shell, closed with { Version = 8, VoidedVersion = 8 }).Action);
        Assert.Equal(RecoveryAction.Destroy, Recovery.Decide(shell, closed with { Epoch = 2, OwnerHostId = "c" }).Action);
        Assert.Equal(RecoveryAction.Destroy, Recovery.Decide(shell with { ImageVersion = null }, closed).Action);
        Assert.Equal(RecoveryAction.Keep, Recovery.Decide(shell with { ShellEpoch = 2, State = GuestState.Running }, closed).Action);
        Assert.Equal(RecoveryAction.Keep, Recovery.Decide(new FoundGuest(Vm, "a", GuestState.Suspended, null, 0, Vote), Open with { Version = 4 }).Action);
    }

    [Fact]
    public void a_fenced_host_that_lives_touches_nothing_until_the_recovery_is_over()
    {
        OwnershipView recovering = Open with { Version = 8, Recovery = new HeldImage(Id, 0, "b", 5, 0) };
        FoundGuest found = new(Vm, "a", GuestState.Suspended, null, 0, null);
        Assert.Equal(RecoveryAction.Keep, Recovery.Decide(found, recovering).Action);
        Assert.Equal(RecoveryAction.Destroy, Recovery.Decide(found, recovering with { Version = 9, Epoch = 2, OwnerHostId = "b", Recovery = null }).Action);
    }

    [Theory]
    [InlineData(GuestState.Running)]
    [InlineData(GuestState.Suspended)]
    [InlineData(GuestState.Paused)]
    public void a_copy_is_destroyed_when_another_host_owns_the_machine(GuestState guest)
    {
        Assert.Equal(RecoveryAction.Destroy, Decide(guest, null, Vote, Open with { Version = 6, Epoch = 2, OwnerHostId = "b" }));
    }

    [Fact]
    public void a_copy_that_was_voted_away_is_not_resumed_when_the_machine_has_come_back()
    {
        Assert.Equal(RecoveryAction.Destroy, Decide(GuestState.Suspended, null, Vote, Running("a") with { Version = 12, Epoch = 3 }));
        Assert.Equal(RecoveryAction.Destroy, Decide(GuestState.Suspended, (Earlier, 0), Vote, Running("a") with { Version = 12, Epoch = 3, OwnerOperationId = Id, OwnerReplica = 2 }));
    }

    [Theory]
    [InlineData(GuestState.Running)]
    [InlineData(GuestState.Suspended)]
    [InlineData(GuestState.Paused)]
    public void nothing_is_undone_when_no_event_gives_the_machine_away(GuestState guest)
    {
        Assert.Equal(RecoveryAction.Keep, Decide(guest, null, Vote, OwnershipDecider.Unknown(Vm)));
        Assert.Equal(RecoveryAction.Keep, Decide(guest, (Id, 0), null, OwnershipDecider.Unknown(Vm)));
        Assert.Equal(RecoveryAction.Keep, Decide(guest, null, null, Open with { OwnerHostId = null, OwnerOperationId = null, OwnerReplica = null }));
    }

    [Theory]
    [InlineData(GuestState.Paused, RecoveryAction.Keep)]
    [InlineData(GuestState.Suspended, RecoveryAction.Keep)]
    [InlineData(GuestState.Running, RecoveryAction.Destroy)]
    public void a_shell_of_an_undecided_operation_is_kept_but_must_not_run(GuestState guest, RecoveryAction expected)
    {
        Assert.Equal(expected, Decide(guest, (Id, 0), null, Open with { OwnerHostId = "z" }));
    }

    [Fact]
    public void a_shell_of_an_operation_that_is_over_is_destroyed()
    {
        Assert.Equal(RecoveryAction.Destroy, Decide(GuestState.Paused, (Id, 0), null, Open with { OwnerHostId = "z", OpenOperationId = null }));
        Assert.Equal(RecoveryAction.Destroy, Decide(GuestState.Paused, (Id, 0), null, Open with { OwnerHostId = "z", Epoch = 2, OwnerOperationId = Id, OwnerReplica = 1 }));
        Assert.Equal(RecoveryAction.Destroy, Decide(GuestState.Paused, (Id, 0), null, Open with { OwnerHostId = "z", OpenOperationId = Earlier }));
    }

    [Theory]
    [InlineData(GuestState.Paused, RecoveryAction.Resume)]
    [InlineData(GuestState.Running, RecoveryAction.Adopt)]
    public void a_shell_that_had_committed_runs(GuestState guest, RecoveryAction expected)
    {
        FoundGuest found = new(Vm, "a", guest, (Id, 0), 1, null, ImageVersion: 5);
        Assert.Equal(expected, Recovery.Decide(found, Open with { Epoch = 2, Version = 6, OwnerOperationId = Id, OwnerReplica = 0 }).Action);
    }

    [Fact]
    public void a_kept_image_waits_for_its_decision_and_a_power_ons_commit_is_asked_for_again()
    {
        (TargetState migration, IReadOnlyList<TargetEffect> reads) = Recovered(OperationKind.Migrate, RecoveryAction.Keep, Image);
        Assert.Equal((TargetPhase.Ready, 3, "d"), (migration.Phase, migration.Incarnation, migration.Digest));
        Assert.Equal(new TargetEffect.ReadOwnership(), Assert.Single(reads));

        (TargetState powerOn, IReadOnlyList<TargetEffect> commits) = Recovered(OperationKind.PowerOn, RecoveryAction.Keep, Image);
        Assert.Equal(TargetPhase.Committing, powerOn.Phase);
        Assert.Equal(5, Assert.IsType<TargetEffect.AppendTransfer>(Assert.Single(commits)).Request.ExpectedVersion);
    }

    [Fact]
    public void a_shell_without_a_complete_image_fails_and_the_rest_follows_the_table()
    {
        (TargetState incomplete, IReadOnlyList<TargetEffect> effects) = Recovered(OperationKind.Migrate, RecoveryAction.Keep, null);
        Assert.Equal(TargetPhase.Destroying, incomplete.Phase);
        Assert.IsType<ReplicaFailed>(effects.OfType<TargetEffect.Report>().Single().Message);
        Assert.Contains(effects, effect => effect is TargetEffect.DestroyShell);

        Assert.Equal(TargetPhase.Destroying, Recovered(OperationKind.Migrate, RecoveryAction.Destroy, Image).State.Phase);
        Assert.Equal(new TargetEffect.StartGuest(Running("b")), Assert.Single(Recovered(OperationKind.Migrate, RecoveryAction.Resume, Image).Effects));
        Assert.Contains(Recovered(OperationKind.Migrate, RecoveryAction.Adopt, Image).Effects, effect => effect is TargetEffect.Report { Message: ReplicaResumed });
        Assert.Throws<InvalidOperationException>(() => Recovered(OperationKind.Migrate, RecoveryAction.RefuseFirst, Image));
    }

    private static RecoveryAction Decide(GuestState guest, (Guid, int)? shell, JournaledVote? vote, OwnershipView view) =>
        Recovery.Decide(new FoundGuest(Vm, "a", guest, shell, 1, vote), view).Action;

    private static (TargetState State, IReadOnlyList<TargetEffect> Effects) Recovered(OperationKind kind, RecoveryAction action, (int, string, long)? image) =>
        TargetProtocol.Recovered(new StartReplica(Id, 0, 1, kind, Vm, "b", "a", Definition, 5, new CostLimits(60)), action, Why, Running("b"), image, Start);
}
