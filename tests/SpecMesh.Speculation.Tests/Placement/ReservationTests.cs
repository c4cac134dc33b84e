using SpecMesh.Contracts;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Speculation.Tests.Placement;

public class ReservationTests
{
    private const string Vm = "vm-a";

    private static readonly Fleet Racing = Given.FleetOf(
        Given.Host("source", events: new VmAllocated("source", Vm, Given.Gibibyte)),
        Given.Host("h1", events: Held("h1", 1)),
        Given.Host("h2", events: Held("h2", 1)),
        Given.Host("neighbour", events: Held("neighbour", 2)));

    private static readonly OperationFacts Running = Given.Facts(1, Given.Accepted(1, Vm, "source"), Given.Planned(1, (0, "h1"), (1, "h2")));

    private static readonly OperationFacts Won = OperationFacts.Evolve(Running, Given.Completed(1, Vm, "h1", "source"));

    private static readonly OperationFacts Over = OperationFacts.Evolve(Won, Given.Settled(1));

    [Fact]
    public void the_winner_s_reservation_becomes_its_allocation_and_the_losers_keep_theirs_until_they_are_cleaned()
    {
        PlacementDecision decision = ReservationDecider.DecideEnd(Racing, Won, "h1");

        Assert.Equal(["h1"], decision.EventsByHost.Keys);
        Assert.Equal(new VmAllocated("h1", Vm, Given.Gibibyte), decision.EventsByHost["h1"][0]);
        Assert.Equal("won", Assert.IsType<ReservationReleased>(decision.EventsByHost["h1"][1]).Reason.Code);
    }

    [Fact]
    public void a_settled_operation_leaves_one_allocation_and_no_reservation()
    {
        Fleet after = Racing.Evolve(ReservationDecider.DecideEnd(Racing, Over, "h1"));

        Assert.Equal([Vm], after.Hosts["h1"].Allocations.Keys);
        Assert.Empty(after.Hosts["source"].Allocations);
        Assert.Equal(0, after.Hosts.Values.Where(host => host.HostId != "neighbour").Sum(host => host.ReservedBytes));
        Assert.Equal(Racing.Hosts["neighbour"], after.Hosts["neighbour"]);
    }

    [Fact]
    public void a_settlement_that_comes_twice_or_before_the_completion_changes_nothing_more()
    {
        Fleet after = Racing.Evolve(ReservationDecider.DecideEnd(Racing, Over, "h1"));

        Assert.Empty(ReservationDecider.DecideEnd(after, Over, "h1").EventsByHost);
        Assert.Empty(ReservationDecider.DecideEnd(after, Won, "h1").EventsByHost);
    }

    [Fact]
    public void an_old_settlement_does_not_take_the_memory_of_a_machine_that_has_returned()
    {
        Fleet after = Racing.Evolve(ReservationDecider.DecideEnd(Racing, Over, "h1"));
        Fleet returned = after.With(HostState.Evolve(after.Hosts["source"], new VmAllocated("source", Vm, Given.Gibibyte)));

        Assert.Empty(ReservationDecider.DecideEnd(returned, Over, "source").EventsByHost);
    }

    [Fact]
    public void an_operation_without_a_winner_leaves_the_machine_where_it_was()
    {
        OperationFacts failed = Given.Facts(1, Given.Accepted(1, Vm, "source"), Given.Completed(1, Vm, null, "source"), Given.Settled(1));

        Fleet after = Racing.Evolve(ReservationDecider.DecideEnd(Racing, failed, "source"));

        Assert.Equal([Vm], after.Hosts["source"].Allocations.Keys);
        Assert.Equal([0L, 0L], [after.Hosts["h1"].ReservedBytes, after.Hosts["h2"].ReservedBytes]);
        Assert.Equal([0L, 0L], [after.Hosts["h1"].AllocatedBytes, after.Hosts["h2"].AllocatedBytes]);
    }

    [Fact]
    public void an_operation_that_still_runs_ends_nothing() =>
        Assert.Empty(ReservationDecider.DecideEnd(Racing, Running, "source").EventsByHost);

    [Fact]
    public void a_loser_s_reservation_goes_when_it_is_cleaned()
    {
        PlacementDecision decision = ReservationDecider.Decide(Racing, new ReplicaCleaned(Given.Operation(1), 1, "h2"), Won);

        Assert.Equal(["h2"], decision.EventsByHost.Keys);
        Assert.Equal("cleaned", Assert.IsType<ReservationReleased>(Assert.Single(decision.EventsByHost["h2"])).Reason.Code);
    }

    [Fact]
    public void a_cleaned_replica_keeps_its_reservation_while_the_operation_may_retry_there() =>
        Assert.Empty(ReservationDecider.Decide(Racing, new ReplicaCleaned(Given.Operation(1), 0, "h1"), Running).EventsByHost);

    [Fact]
    public void an_earlier_replica_s_clean_up_does_not_take_the_later_one_s_memory()
    {
        OperationFacts retried = OperationFacts.Evolve(OperationFacts.Evolve(Running, Given.Planned(1, (2, "h2"))), Given.Completed(1, Vm, null, "source"));

        Assert.Empty(ReservationDecider.Decide(Racing, new ReplicaCleaned(Given.Operation(1), 1, "h2"), retried).EventsByHost);
        OperationFacts firstGone = OperationFacts.Evolve(retried, new ReplicaCleaned(Given.Operation(1), 1, "h2"));
        Assert.Equal(["h2"], ReservationDecider.Decide(Racing, new ReplicaCleaned(Given.Operation(1), 2, "h2"), firstGone).EventsByHost.Keys);
    }

    [Fact]
    public void a_release_touches_only_the_operation_s_own_hosts_and_only_once()
    {
        ReleaseTargets command = new(Given.Operation(1), ["h2", "neighbour", "ghost"]);
        OperationFacts cleaned = OperationFacts.Evolve(Running, new ReplicaCleaned(Given.Operation(1), 1, "h2"));
        PlacementDecision decision = ReservationDecider.Decide(Racing, command, cleaned);

        Assert.Equal(["h2"], decision.EventsByHost.Keys);
        Assert.Empty(ReservationDecider.Decide(Racing.Evolve(decision), command, cleaned).EventsByHost);
    }

    [Fact]
    public void a_late_release_does_not_take_a_host_that_the_operation_has_gone_back_to()
    {
        ReleaseTargets late = new(Given.Operation(1), ["h2"]);
        OperationFacts cleaned = OperationFacts.Evolve(Running, new ReplicaCleaned(Given.Operation(1), 1, "h2"));
        OperationFacts back = OperationFacts.Evolve(cleaned, Given.Planned(1, (2, "h2")));
        Fleet reservedAgain = Racing.With(HostState.Evolve(Racing.Hosts["h2"], new HostReserved("h2", Given.Operation(1), 1, Given.Gibibyte, Given.LeaseUntil)));

        Assert.Empty(ReservationDecider.Decide(reservedAgain, late, cleaned).EventsByHost);
        Assert.Empty(ReservationDecider.Decide(reservedAgain, late, back).EventsByHost);
        Assert.Equal(["h2"], ReservationDecider.Decide(reservedAgain, late, OperationFacts.Evolve(back, new ReplicaCleaned(Given.Operation(1), 2, "h2"))).EventsByHost.Keys);
    }

    [Fact]
    public void a_release_that_overtakes_the_completion_still_allocates_the_winner()
    {
        PlacementDecision decision = ReservationDecider.Decide(Racing, new ReleaseTargets(Given.Operation(1), ["h1", "h2"]), Won);

        Assert.IsType<VmAllocated>(decision.EventsByHost["h1"][0]);
        Assert.IsType<ReservationReleased>(Assert.Single(decision.EventsByHost["h2"]));
    }

    [Fact]
    public void a_lapsed_lease_ends_when_nobody_knows_the_operation_or_it_is_over()
    {
        ReservationDeadline deadline = new("h2", Given.Operation(1));

        foreach (OperationFacts facts in new[] { OperationFacts.Unknown(Given.Operation(1)), Over })
        {
            PlacementDecision decision = ReservationDecider.Decide(Racing, deadline, facts, Given.LeaseUntil);
            Assert.Equal("lease-lapsed", Assert.IsType<ReservationReleased>(Assert.Single(decision.EventsByHost["h2"])).Reason.Code);
        }
    }

    [Fact]
    public void a_lapsed_lease_on_the_winner_of_a_settled_operation_becomes_the_allocation() =>
        Assert.IsType<VmAllocated>(ReservationDecider.Decide(Racing, new ReservationDeadline("h1", Given.Operation(1)), Over, Given.LeaseUntil).EventsByHost["h1"][0]);

    [Fact]
    public void a_lapsed_lease_is_extended_and_looked_at_again_while_the_operation_goes_on()
    {
        ReservationDeadline deadline = new("h2", Given.Operation(1));
        foreach (OperationFacts facts in new[] { Running, Won })
        {
            PlacementDecision decision = ReservationDecider.Decide(Racing, deadline, facts, Given.LeaseUntil);

            DateTimeOffset until = Given.LeaseUntil + ReservationDecider.LeaseExtension;
            Assert.Equal(new HostReserved("h2", Given.Operation(1), 0, Given.Gibibyte, until), Assert.Single(decision.EventsByHost["h2"]));
            Assert.Equal(new Effect(deadline, DueAt: until), Assert.Single(decision.Effects));
        }
    }

    [Fact]
    public void a_deadline_that_fires_early_is_set_again_so_that_the_lease_cannot_leak()
    {
        ReservationDeadline deadline = new("h2", Given.Operation(1));

        OperationFacts running = Given.Facts(1, Given.Accepted(1, "vm"), Given.Planned(1, (0, "h2")));
        PlacementDecision decision = ReservationDecider.Decide(Racing, deadline, running, Given.LeaseUntil.AddMilliseconds(-1));

        Assert.Empty(decision.EventsByHost);
        Assert.Equal(new Effect(deadline, DueAt: Given.LeaseUntil), Assert.Single(decision.Effects));
    }

    [Fact]
    public void a_deadline_without_its_reservation_does_nothing()
    {
        foreach (ReservationDeadline deadline in new ReservationDeadline[] { new("h2", Given.Operation(9)), new("ghost", Given.Operation(1)) })
        {
            PlacementDecision decision = ReservationDecider.Decide(Racing, deadline, Over, Given.LeaseUntil);
            Assert.Empty(decision.EventsByHost);
            Assert.Empty(decision.Effects);
        }
    }

    private static HostReserved Held(string hostId, int operation) => new(hostId, Given.Operation(operation), 0, Given.Gibibyte, Given.LeaseUntil);
}
