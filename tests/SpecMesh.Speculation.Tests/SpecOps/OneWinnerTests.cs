using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>DESIGN section 7: "One event stream per VM, appended only with an expected version. The append is the decision."</summary>
public sealed class OneWinnerTests
{
    private static readonly OwnershipView Open = Running("a") with { Version = 5, OpenOperationId = Id };

    [Fact]
    public void only_one_of_several_commits_at_one_version_is_accepted()
    {
        OwnershipDecision first = OwnershipDecider.Transfer(Open, Ask(0, "b", 5));
        OwnershipView after = first.Events.Aggregate(Open, OwnershipDecider.Evolve);
        OwnershipDecision second = OwnershipDecider.Transfer(after, Ask(1, "c", 5));

        Assert.True(first.Accepted);
        Assert.False(second.Accepted);
        Assert.Empty(second.Events);
        Assert.Equal(("b", 2, 6L), (after.OwnerHostId, after.Epoch, after.Version));
    }

    [Fact]
    public void a_commit_asked_for_again_succeeds_without_another_event_also_after_the_operation_is_closed()
    {
        OwnershipView after = OwnershipDecider.Transfer(Open, Ask(0, "b", 5)).Events.Aggregate(Open, OwnershipDecider.Evolve);
        OwnershipView closed = OwnershipDecider.Close(after, Id, OperationOutcome.Succeeded, "commit", Why).Aggregate(after, OwnershipDecider.Evolve);

        foreach (OwnershipView view in new[] { after, closed })
        {
            OwnershipDecision again = OwnershipDecider.Transfer(view, Ask(0, "b", 5));
            Assert.True(again.Accepted);
            Assert.Empty(again.Events);
        }
    }

    [Theory]
    [InlineData(4, 1, "vote-refused")]
    [InlineData(6, 1, "vote-refused")]
    [InlineData(5, 0, "old-epoch")]
    [InlineData(5, 2, "old-epoch")]
    public void a_commit_at_another_version_or_epoch_is_refused(long version, int epoch, string code)
    {
        OwnershipDecision decision = OwnershipDecider.Transfer(Open, Ask(0, "b", version) with { Epoch = epoch });
        Assert.Equal((false, code), (decision.Accepted, decision.Reason?.Code));
        Assert.Empty(decision.Events);
    }

    [Fact]
    public void a_commit_for_another_operation_is_refused()
    {
        Assert.Equal("operation-over", OwnershipDecider.Transfer(Open, Ask(0, "b", 5) with { OperationId = Earlier }).Reason?.Code);
    }

    [Fact]
    public void a_refusal_and_a_commit_exclude_each_other_in_both_orders()
    {
        OwnershipView refused = OwnershipDecider.Refuse(Open, Take(5)).Events.Aggregate(Open, OwnershipDecider.Evolve);
        Assert.Equal("vote-refused", OwnershipDecider.Transfer(refused, Ask(0, "b", 5)).Reason?.Code);

        OwnershipView won = OwnershipDecider.Transfer(Open, Ask(0, "b", 5)).Events.Aggregate(Open, OwnershipDecider.Evolve);
        Assert.Equal("transferred", OwnershipDecider.Refuse(won, Take(5)).Reason?.Code);
    }

    [Fact]
    public void a_refusal_asked_for_again_holds_without_another_event()
    {
        OwnershipView refused = OwnershipDecider.Refuse(Open, Take(5)).Events.Aggregate(Open, OwnershipDecider.Evolve);
        OwnershipDecision again = OwnershipDecider.Refuse(refused, Take(5));
        Assert.True(again.Accepted);
        Assert.Empty(again.Events);
    }

    [Fact]
    public void a_refusal_at_a_version_that_never_was_is_not_accepted()
    {
        Assert.Equal("unknown-version", OwnershipDecider.Refuse(Open, Take(7)).Reason?.Code);
    }

    [Fact]
    public void a_refusal_of_a_host_that_is_not_the_owner_is_not_accepted()
    {
        Assert.Equal("transferred", OwnershipDecider.Refuse(Open, Take(5) with { HostId = "b" }).Reason?.Code);
    }

    [Fact]
    public void closing_without_a_winner_ends_every_vote_in_the_same_append()
    {
        IReadOnlyList<object> events = OwnershipDecider.Close(Open, Id, OperationOutcome.Cancelled, "cancel", Why);
        Assert.Collection(events, e => Assert.IsType<TransferRefused>(e), e => Assert.IsType<OperationClosed>(e));
        OwnershipView closed = events.Aggregate(Open, OwnershipDecider.Evolve);
        Assert.False(OwnershipDecider.Transfer(closed, Ask(0, "b", 5)).Accepted);
        Assert.Empty(OwnershipDecider.Close(closed, Id, OperationOutcome.Cancelled, "cancel", Why));
    }

    [Fact]
    public void a_machine_is_in_one_operation_at_a_time()
    {
        Assert.Throws<InvalidOperationException>(() => OwnershipDecider.Open(Open, Earlier, OperationKind.Migrate, Definition));
        Assert.Collection(
            OwnershipDecider.Open(OwnershipDecider.Unknown(Vm), Id, OperationKind.PowerOn, Definition),
            e => Assert.IsType<VmDefined>(e),
            e => Assert.IsType<OperationOpened>(e));
    }

    [Fact]
    public void an_event_of_another_event_stream_is_an_error()
    {
        Assert.Throws<InvalidOperationException>(() => OwnershipDecider.Evolve(Open, new SpecOpDeadline(Id)));
    }

    private static TransferOwnership Ask(int replica, string host, long version) => new(Id, replica, host, 1, version, 0, "d");

    private static RefuseTransfer Take(long version) => new(Id, "a", 1, version, Why);
}
