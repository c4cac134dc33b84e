using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>What an agent does about a guest that is not as recorded: only what the event stream proves.</summary>
public sealed class ReconciliationTests
{
    private static readonly HostedMachine Owner = new("a", (Earlier, 0, 0), IsBusy: false, KnowsAll: true);

    [Fact]
    public void a_guest_as_recorded_and_a_machine_of_another_host_are_left_alone()
    {
        Assert.Equal(ReconciliationAction.Nothing, Decide(Owner, Running("a")));
        Assert.Equal(ReconciliationAction.Nothing, Decide(Owner with { Guest = null }, Running("b")));
    }

    [Theory]
    [InlineData("b")]
    [InlineData(null)]
    [InlineData("a")]
    public void a_guest_whose_machine_went_on_in_a_later_epoch_is_destroyed(string? owner) =>
        Assert.Equal(ReconciliationAction.Destroy, Decide(Owner, Running("a") with { Epoch = 2, OwnerHostId = owner, OwnerOperationId = owner is null ? null : Id, OwnerReplica = 1 }));

    [Fact]
    public void a_guest_that_is_newer_than_the_database_is_left_alone() =>
        Assert.Equal(ReconciliationAction.Nothing, Decide(Owner with { Guest = (Earlier, 0, 3) }, Running("b") with { Epoch = 2 }));

    [Fact]
    public void an_owner_without_a_guest_gives_the_machine_up_unless_one_may_be_there_unseen()
    {
        Assert.Equal(ReconciliationAction.Release, Decide(Owner with { Guest = null }, Running("a")));
        Assert.Equal(ReconciliationAction.Unknown, Decide(Owner with { Guest = null, KnowsAll = false }, Running("a")));
    }

    [Fact]
    public void what_an_operation_sees_to_is_left_to_it()
    {
        Assert.Equal(ReconciliationAction.Nothing, Decide(Owner with { Guest = null }, Running("a") with { OpenOperationId = Id }));
        Assert.Equal(ReconciliationAction.Nothing, Decide(Owner with { IsBusy = true }, Running("b") with { Epoch = 2 }));
        Assert.Equal(ReconciliationAction.Nothing, Decide(Owner, OwnershipDecider.Unknown(Vm)));
    }

    [Fact]
    public void ownership_is_released_once_by_its_owner_while_nothing_is_open()
    {
        ReleaseOwnership request = new("a", 1, Why);
        OwnershipDecision released = OwnershipDecider.Release(Running("a"), request);
        OwnershipView after = released.Events.Aggregate(Running("a"), OwnershipDecider.Evolve);
        Assert.Equal((true, null, 2), (released.Accepted, after.OwnerHostId, after.Epoch));
        Assert.Equal((true, 0), (OwnershipDecider.Release(after, request).Accepted, OwnershipDecider.Release(after, request).Events.Count));
        Assert.Equal("operation-open", OwnershipDecider.Release(Running("a") with { OpenOperationId = Id }, request).Reason?.Code);
        Assert.Empty(OwnershipDecider.Release(Running("b"), request).Events);
    }

    private static ReconciliationAction Decide(HostedMachine machine, OwnershipView view) => Reconciliation.Decide(machine, view).Action;
}
