using SpecMesh.Contracts;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Speculation.Tests.Placement;

/// <summary>Capacity cannot leak when a guest is gone, and a machine that is there is never freed.</summary>
public class AllocationTests
{
    private const string Vm = "vm-a";

    private static readonly HostState Host = Given.Host("h1", events: [new VmAllocated("h1", Vm, Given.Gibibyte), new VmAllocated("h1", "vm-b", Given.Gibibyte)]);
    private static readonly HostedGuest Neighbour = Guest("vm-b");
    private static readonly MachineFacts Owned = Machine(new OwnershipTransferred(Vm, Given.Operation(1), 0, "h1", 1, 0, "00"));

    [Fact]
    public void a_guest_is_missed_after_ten_beats_in_a_row_and_not_before()
    {
        GuestSightings nine = Hear(GuestSightings.None, 1, 9, Neighbour);
        Assert.Empty(nine.Due);

        Assert.Equal([Vm], Hear(nine, 10, 1, Neighbour).Due);
    }

    [Theory]
    [InlineData(GuestState.Running)]
    [InlineData(GuestState.Suspended)]
    [InlineData(GuestState.Paused)]
    public void one_beat_that_lists_it_in_whatever_state_begins_the_count_anew(GuestState state)
    {
        GuestSightings listed = Hear(Hear(GuestSightings.None, 1, 9, Neighbour), 10, 1, Neighbour, Guest(Vm, state));

        Assert.Empty(Hear(listed, 11, 9, Neighbour).Due);
        Assert.Equal([Vm], Hear(listed, 11, 10, Neighbour).Due);
    }

    [Fact]
    public void a_guest_whose_process_has_ended_is_listed_without_memory_and_is_gone() =>
        Assert.Equal([Vm], Hear(GuestSightings.None, 1, 10, Neighbour, Guest(Vm, GuestState.Paused, memory: 0)).Due);

    [Fact]
    public void beats_that_come_twice_or_late_are_not_counted()
    {
        GuestSightings heard = Hear(GuestSightings.None, 1, 9, Neighbour);

        Assert.Same(heard, heard.Hear(Host, Beat(9, Neighbour), Given.Now.AddSeconds(9)));
        Assert.Same(heard, heard.Hear(Host, Beat(3, Neighbour), Given.Now.AddSeconds(9)));
    }

    [Fact]
    public void beats_that_waited_in_a_queue_are_not_counted()
    {
        DateTimeOffset later = Given.Now.AddSeconds(1) + GuestSightings.Fresh;

        Assert.Equal(1, GuestSightings.None.Hear(Host, Beat(1, Neighbour), later).Beats[Vm]);
        Assert.Same(GuestSightings.None, GuestSightings.None.Hear(Host, Beat(1, Neighbour), later.AddTicks(1)));
    }

    [Fact]
    public void a_new_agent_counts_from_its_own_first_beat()
    {
        GuestSightings nine = Hear(GuestSightings.None, 1, 9, Neighbour);

        GuestSightings restarted = nine.Hear(Host, Beat(1, Neighbour) with { At = Given.Now.AddSeconds(20) }, Given.Now.AddSeconds(20));

        Assert.Equal((1, 1), (restarted.Sequence, restarted.Beats[Vm]));
    }

    [Fact]
    public void an_operation_that_begins_or_ends_makes_the_count_begin_anew()
    {
        GuestSightings forgotten = Hear(GuestSightings.None, 1, 9, Neighbour).Forget(Vm);

        Assert.Empty(Hear(forgotten, 10, 9, Neighbour).Due);
    }

    [Fact]
    public void what_was_decided_about_is_asked_again_only_after_ten_more_beats()
    {
        GuestSightings ten = Hear(GuestSightings.None, 1, 10, Neighbour);

        Assert.Empty(Hear(ten, 11, 9, Neighbour).Due);
        Assert.Equal([Vm], Hear(ten, 11, 10, Neighbour).Due);
    }

    [Theory]
    [InlineData("h1")]
    [InlineData("h2")]
    [InlineData(null)]
    public void the_memory_of_a_guest_that_is_gone_is_free_again_whoever_owns_the_machine(string? owner)
    {
        MachineFacts machine = owner is null ? Machine() : Owned with { OwnerHostId = owner };

        Decision decision = AllocationDecider.Decide(Host, Beat(10, Neighbour), machine);

        Assert.Equal([new VmDeallocated("h1", Vm)], decision.Events);
        Assert.Equal(["vm-b"], decision.Events.Aggregate(Host, HostState.Evolve).Allocations.Keys);
    }

    [Fact]
    public void while_an_operation_is_open_nothing_is_decided()
    {
        MachineFacts moving = MachineFacts.Evolve(Owned, new OperationOpened(Vm, Given.Operation(2), OperationKind.Migrate, 1));

        Assert.Empty(AllocationDecider.Decide(Host, Beat(10, Neighbour), moving).Events);
        Assert.Empty(AllocationDecider.Decide(Given.Host("h1"), Beat(10, Guest(Vm)), moving).Events);
        MachineFacts recovering = MachineFacts.Evolve(Owned, new OwnerFenced(Vm, "h1", 1, "operator", new Reason("recovery", ""), new HeldImage(Given.Operation(2), 0, "h2", 5, 0)));
        Assert.Equal(Given.Operation(2), recovering.OpenOperationId);
        Assert.Null(MachineFacts.Evolve(recovering, new OwnerFenced(Vm, "h1", 1, "operator", new Reason("no-image", ""))).OpenOperationId);
        MachineFacts over = MachineFacts.Evolve(moving, new OperationClosed(Vm, Given.Operation(2), OperationOutcome.Failed));
        Assert.Single(AllocationDecider.Decide(Host, Beat(10, Neighbour), over).Events);
    }

    [Fact]
    public void a_machine_that_runs_on_its_owner_is_allocated()
    {
        GuestSightings heard = Hear(Given.Host("h1"), GuestSightings.None, 1, 10, Guest(Vm));

        Assert.Equal([Vm], heard.Due);
        Assert.Equal([new VmAllocated("h1", Vm, Given.Gibibyte)], AllocationDecider.Decide(Given.Host("h1"), Beat(10, Guest(Vm)), Owned).Events);
    }

    [Theory]
    [InlineData("h2", GuestState.Running)]
    [InlineData(null, GuestState.Running)]
    [InlineData("h1", GuestState.Paused)]
    [InlineData("h1", GuestState.Suspended)]
    public void a_machine_that_does_not_run_here_by_right_is_not_allocated(string? owner, GuestState state) =>
        Assert.Empty(AllocationDecider.Decide(Given.Host("h1"), Beat(10, Guest(Vm, state)), Owned with { OwnerHostId = owner }).Events);

    [Fact]
    public void a_winner_whose_reservation_still_stands_is_left_to_the_operation_s_end()
    {
        HostState winner = Given.Host("h1", events: new HostReserved("h1", Given.Operation(1), 0, Given.Gibibyte, Given.LeaseUntil));

        Assert.Empty(AllocationDecider.Decide(winner, Beat(10, Guest(Vm)), Owned).Events);
    }

    [Fact]
    public void a_decision_that_comes_after_the_allocation_was_put_right_changes_nothing()
    {
        HostState freed = HostState.Evolve(Host, new VmDeallocated("h1", Vm));

        Assert.Empty(AllocationDecider.Decide(freed, Beat(10, Neighbour), Owned).Events);
        Assert.Empty(AllocationDecider.Decide(Host, Beat(10, Neighbour, Guest(Vm)), Owned).Events);
    }

    private static HostedGuest Guest(string vmId, GuestState state = GuestState.Running, long memory = Given.Gibibyte) => new(vmId, state, memory, null, null);

    private static MachineFacts Machine(params object[] events) => events.Aggregate(MachineFacts.Unknown(Vm), MachineFacts.Evolve);

    private static HostHeartbeat Beat(long sequence, params HostedGuest[] guests) =>
        new("h1", "rack-a", 8 * Given.Gibibyte, "127.0.0.1:7000", "process", null, guests, sequence, Given.Now.AddSeconds(sequence));

    private static GuestSightings Hear(GuestSightings heard, long from, int count, params HostedGuest[] guests) => Hear(Host, heard, from, count, guests);

    private static GuestSightings Hear(HostState host, GuestSightings heard, long from, int count, params HostedGuest[] guests)
    {
        for (long sequence = from; sequence < from + count; sequence++)
        {
            heard = heard.Hear(host, Beat(sequence, guests), Given.Now.AddSeconds(sequence));
        }

        return heard;
    }
}
