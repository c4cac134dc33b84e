using SpecMesh.Contracts;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Speculation.Tests.Placement;

/// <summary>A host is confirmed dead only while it is silent, and comes back only by a person's word.</summary>
public sealed class FenceHostTests
{
    private static readonly Reason Silent = new("silent", "Not heard for 40 s.");

    [Fact]
    public void a_silent_host_is_fenced_once_and_told_about()
    {
        HostState host = Given.Host("h");
        (Decision decision, Reason? refusal) = HostDecider.Decide(host, new FenceHost("h", "alice"), Silent);
        Assert.Null(refusal);
        HostFenced fenced = new("h", "alice", Silent);
        Assert.Equal([fenced], decision.Events);
        Assert.Equal(fenced, Assert.Single(decision.Effects).Message);

        HostState after = HostState.Evolve(host, fenced);
        Assert.Equal((true, Silent), (after.InMaintenance, after.Fenced));
        Assert.Empty(HostDecider.Decide(after, new FenceHost("h"), null).Decision.Events);
    }

    [Fact]
    public void a_host_that_is_heard_or_not_known_cannot_be_fenced()
    {
        Assert.Equal("host-alive", HostDecider.Decide(Given.Host("h"), new FenceHost("h"), null).Refusal?.Code);
        Assert.Equal("unknown-host", HostDecider.Decide(HostState.Unknown("h"), new FenceHost("h"), Silent).Refusal?.Code);
    }

    [Fact]
    public void the_end_of_its_maintenance_puts_a_fenced_host_into_service_again()
    {
        HostState fenced = HostState.Evolve(Given.Host("h"), new HostFenced("h", "alice", Silent));
        Decision decision = HostDecider.Decide(fenced, new SetHostMaintenance("h", false));
        HostState back = decision.Events.Aggregate(fenced, HostState.Evolve);
        Assert.Equal((false, null), (back.InMaintenance, back.Fenced));
    }

    [Fact]
    public void a_machine_whose_recovery_was_given_up_is_in_no_operation_any_more()
    {
        // Found by seed 201983 of the simulated cluster: the fenced host came back, and kept memory allocated for a machine that nobody has.
        Reason why = new("fenced", "For a test.");
        object[] events =
        [
            new OwnershipTransferred("vm", Given.Operation(1), 0, "h", 1, 0, "d"),
            new OwnerFenced("vm", "h", 1, "alice", why, new HeldImage(Given.Operation(2), 0, "h2", 5, 0)),
            new OwnerFenced("vm", "h", 1, "alice", why),
        ];
        MachineFacts machine = events.Aggregate(MachineFacts.Unknown("vm"), MachineFacts.Evolve);
        Assert.Equal((null, null), (machine.OwnerHostId, machine.OpenOperationId));
    }

    [Fact]
    public void a_lease_of_a_settled_operation_ends_before_its_time()
    {
        HostState host = Given.Host("h", events: new HostReserved("h", Given.Operation(1), 0, Given.Gibibyte, Given.LeaseUntil));
        OperationFacts running = Given.Facts(1, Given.Accepted(1, "vm"), Given.Planned(1, (0, "h")));
        OperationFacts settled = Given.Facts(1, Given.Accepted(1, "vm"), Given.Planned(1, (0, "h")), Given.Completed(1, "vm", null), Given.Settled(1));
        ReservationDeadline look = new("h", Given.Operation(1));
        Assert.Empty(ReservationDecider.Decide(Given.FleetOf(host), look, running, Given.Now).EventsByHost);
        Assert.IsType<ReservationReleased>(Assert.Single(ReservationDecider.Decide(Given.FleetOf(host), look, settled, Given.Now).EventsByHost["h"]));
    }
}
