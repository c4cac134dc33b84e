using SpecMesh.Contracts;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Speculation.Tests.Placement;

public class HostStateTests
{
    private static readonly Reason Why = new("why", "For a test.");

    [Fact]
    public void memory_is_free_unless_it_is_reserved_or_allocated()
    {
        HostState host = Given.Host(
            "h1", memory: 100, events:
            [
                new HostReserved("h1", Given.Operation(1), 0, 30, Given.LeaseUntil),
                new VmAllocated("h1", "vm-a", 20),
            ]);

        Assert.Equal((30, 20, 50), (host.ReservedBytes, host.AllocatedBytes, host.FreeBytes));
        Assert.Equal(0.5, host.Load);
    }

    [Fact]
    public void what_is_recorded_twice_counts_once()
    {
        HostState host = Given.Host(
            "h1", memory: 100, events:
            [
                new HostReserved("h1", Given.Operation(1), 0, 30, Given.LeaseUntil),
                new HostReserved("h1", Given.Operation(1), 0, 30, Given.LeaseUntil.AddMinutes(1)),
                new VmAllocated("h1", "vm-a", 20),
                new VmAllocated("h1", "vm-a", 25),
                new VmDeallocated("h1", "vm-b"),
                new ReservationReleased("h1", Given.Operation(2), Why),
            ]);

        Assert.Equal((30, 25), (host.ReservedBytes, host.AllocatedBytes));
        Assert.Equal(Given.LeaseUntil.AddMinutes(1), host.Reservations[Given.Operation(1)].LeaseUntil);
    }

    [Fact]
    public void everything_that_came_can_go()
    {
        HostState host = Given.Host(
            "h1", events:
            [
                new HostReserved("h1", Given.Operation(1), 0, 30, Given.LeaseUntil),
                new VmAllocated("h1", "vm-a", 30),
                new ReservationReleased("h1", Given.Operation(1), Why),
                new VmDeallocated("h1", "vm-a"),
                new HostMaintenanceChanged("h1", true, "operator"),
                new HostMaintenanceChanged("h1", false, "operator"),
            ]);

        Assert.Equal((0, 0, host.MemoryBytes, false), (host.ReservedBytes, host.AllocatedBytes, host.FreeBytes, host.InMaintenance));
    }

    [Fact]
    public void a_released_request_is_remembered_until_many_others_have_followed()
    {
        HostState host = Given.Host("h1");
        for (int operation = 0; operation <= HostState.RememberedRequests; operation++)
        {
            host = HostState.Evolve(host, new HostReserved("h1", Given.Operation(operation), 0, 1, Given.LeaseUntil));
            host = HostState.Evolve(host, new ReservationReleased("h1", Given.Operation(operation), Why));
        }

        Assert.False(host.Answered(new RequestKey(Given.Operation(0), 0)));
        Assert.True(host.Answered(new RequestKey(Given.Operation(1), 0)));
        Assert.True(host.Answered(new RequestKey(Given.Operation(HostState.RememberedRequests), 0)));
        Assert.Equal(HostState.RememberedRequests, host.Released.Count());
    }

    [Fact]
    public void an_event_of_another_event_stream_is_a_broken_invariant() =>
        Assert.Throws<InvalidOperationException>(() => HostState.Evolve(HostState.Unknown("h1"), new SpecOpSettled(Given.Operation(1), 0, null)));

    [Fact]
    public void a_beat_is_recorded_only_when_the_capacity_is_news()
    {
        HostHeartbeat beat = new("h1", "rack-a", 100, "127.0.0.1:1", "process", null, [], 1, Given.Now);
        HostState unknown = HostState.Unknown("h1");

        HostRegistered registered = Assert.IsType<HostRegistered>(Assert.Single(HostDecider.Decide(unknown, beat).Events));
        HostState known = HostState.Evolve(unknown, registered);

        Assert.Empty(HostDecider.Decide(known, beat with { Sequence = 2 }).Events);
        Assert.Single(HostDecider.Decide(known, beat with { MemoryBytes = 200 }).Events);
        Assert.Single(HostDecider.Decide(known, beat with { FailureDomain = "rack-b" }).Events);
        Assert.Empty(HostDecider.Decide(unknown, beat with { MemoryBytes = 0 }).Events);
    }

    [Fact]
    public void maintenance_begins_once_and_never_on_a_host_that_nobody_knows()
    {
        SetHostMaintenance command = new("h1", true, "operator");

        Assert.Empty(HostDecider.Decide(HostState.Unknown("h1"), command).Events);
        HostMaintenanceChanged change = Assert.IsType<HostMaintenanceChanged>(Assert.Single(HostDecider.Decide(Given.Host("h1"), command).Events));
        Assert.Equal(new HostMaintenanceChanged("h1", true, "operator"), change);
        Assert.Empty(HostDecider.Decide(Given.Host("h1", events: change), command).Events);
    }
}
