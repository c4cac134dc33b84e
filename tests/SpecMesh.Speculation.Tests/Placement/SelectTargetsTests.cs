using SpecMesh.Contracts;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Speculation.Tests.Placement;

public class SelectTargetsTests
{
    [Fact]
    public void chosen_hosts_are_reserved_answered_and_leased()
    {
        Fleet fleet = Given.FleetOf(Given.Host("h1"), Given.Host("h2"), Given.Host("h3"));

        PlacementDecision decision = PlacementDecider.Decide(fleet, Given.Select(1, count: 3), Given.Now);

        Assert.Equal(["h1", "h2", "h3"], Given.Reserved(decision).HostIds);
        Assert.Equal(
            new HostReserved("h2", Given.Operation(1), 0, Given.Gibibyte, Given.LeaseUntil),
            Assert.Single(decision.EventsByHost["h2"]));
        Assert.Equal(
            [new("h1", Given.Operation(1)), new("h2", Given.Operation(1)), new("h3", Given.Operation(1))],
            decision.Effects.Where(e => e.DueAt == Given.LeaseUntil).Select(e => e.Message).Cast<ReservationDeadline>());
    }

    [Fact]
    public void a_refusal_counts_what_was_missing()
    {
        Fleet fleet = Given.FleetOf(
            Given.Host("fits"),
            Given.Host("source"),
            Given.Host("full", events: new VmAllocated("full", "vm-a", (8 * Given.Gibibyte) - 1)),
            Given.Host("resting", events: new HostMaintenanceChanged("resting", true, null)),
            Given.Host("silent"),
            Given.Host("foreign")) with
        {
            Suspected = Fleet.Empty.Suspected.Add("silent", new Reason("silent", "No beat.")),
        };
        SelectTargets command = Given.Select(1, count: 2, excluded: ["source"], allowed: ["fits", "source", "full", "resting", "silent", "ghost"]);

        TargetsRefused refused = Given.Refused(PlacementDecider.Decide(fleet, command, Given.Now));

        Assert.Equal(
            new Reason(
                "no-fitting-hosts",
                "2 wanted, 1 of 6 hosts fit; 1 not among the allowed targets; 1 excluded; 1 in maintenance; 1 suspected; "
                + "1 with less than 1073741824 bytes free; 1 allowed but unknown; choice least-loaded.",
                1,
                2),
            refused.Reason);
    }

    [Fact]
    public void fewer_hosts_are_taken_only_when_the_request_accepts_them()
    {
        Fleet fleet = Given.FleetOf(Given.Host("h1"), Given.Host("h2"));

        Assert.Equal("no-fitting-hosts", Given.Refused(PlacementDecider.Decide(fleet, Given.Select(1, count: 3), Given.Now)).Reason.Code);
        Assert.Equal(["h1", "h2"], Given.Reserved(PlacementDecider.Decide(fleet, Given.Select(1, count: 3, acceptFewer: true), Given.Now)).HostIds);
    }

    [Fact]
    public void no_hosts_at_all_is_a_refusal_even_when_fewer_are_accepted() =>
        Assert.Equal("no-fitting-hosts", Given.Refused(PlacementDecider.Decide(Fleet.Empty, Given.Select(1, acceptFewer: true), Given.Now)).Reason.Code);

    [Fact]
    public void the_same_request_gets_the_same_hosts_again_and_reserves_nothing_more()
    {
        Fleet fleet = Given.FleetOf(Given.Host("h1"), Given.Host("h2"), Given.Host("h3"));
        PlacementDecision first = PlacementDecider.Decide(fleet, Given.Select(1, count: 2), Given.Now);

        PlacementDecision second = PlacementDecider.Decide(fleet.Evolve(first), Given.Select(1, count: 2), Given.Now);

        Assert.Empty(second.EventsByHost);
        Assert.Equal(Given.Reserved(first).HostIds, Given.Reserved(second).HostIds);
    }

    [Fact]
    public void a_late_repetition_gets_its_old_answer_although_the_reservations_are_gone()
    {
        Fleet fleet = Given.FleetOf(Given.Host("h1"), Given.Host("h2"));
        PlacementDecision first = PlacementDecider.Decide(fleet, Given.Select(1), Given.Now);
        fleet = fleet.Evolve(first);
        fleet = fleet.Evolve(ReservationDecider.Decide(fleet, new ReleaseTargets(Given.Operation(1), ["h1", "h2"]), Given.Facts(1)));

        PlacementDecision late = PlacementDecider.Decide(fleet, Given.Select(1), Given.LeaseUntil.AddHours(1));

        Assert.Empty(late.EventsByHost);
        Assert.Equal(Given.Reserved(first).HostIds, Given.Reserved(late).HostIds);
    }

    [Fact]
    public void an_operation_that_goes_back_to_its_host_replaces_its_reservation_instead_of_adding_one()
    {
        Fleet fleet = Given.FleetOf(Given.Host("h1", memory: Given.Gibibyte));
        PlacementDecision first = PlacementDecider.Decide(fleet, Given.Select(1), Given.Now);
        fleet = fleet.Evolve(first);

        PlacementDecision second = PlacementDecider.Decide(fleet, Given.Select(1, request: 1), Given.Now);
        fleet = fleet.Evolve(second);

        Assert.Equal(["h1"], Given.Reserved(second).HostIds);
        Assert.Equal(Given.Gibibyte, fleet.Hosts["h1"].ReservedBytes);
        Assert.Equal(1, fleet.Hosts["h1"].Reservations[Given.Operation(1)].Request);
        Assert.Empty(PlacementDecider.Decide(fleet, Given.Select(1), Given.Now).EventsByHost);
        Assert.Equal("no-fitting-hosts", Given.Refused(PlacementDecider.Decide(fleet, Given.Select(2), Given.Now)).Reason.Code);
    }

    [Fact]
    public void the_choice_depends_on_the_operation_and_on_nothing_else_that_changes()
    {
        Fleet fleet = Given.FleetOf([.. Enumerable.Range(0, 20).Select(i => Given.Host($"h{i:00}"))]);
        HashSet<string> choices = [];
        for (int operation = 0; operation < 50; operation++)
        {
            SelectTargets command = Given.Select(operation, count: 3, choice: TargetChoice.Random);
            string hosts = string.Join(' ', Given.Reserved(PlacementDecider.Decide(fleet, command, Given.Now)).HostIds);
            Assert.Equal(hosts, string.Join(' ', Given.Reserved(PlacementDecider.Decide(fleet, command, Given.Now.AddMinutes(1))).HostIds));
            choices.Add(hosts);
        }

        Assert.True(choices.Count > 40, $"50 operations chose only {choices.Count} different sets of 3 among 20 hosts.");
    }

    [Theory]
    [InlineData("count-out-of-range")]
    [InlineData("memory-out-of-range")]
    [InlineData("unknown-target-choice")]
    [InlineData("lease-lapsed")]
    public void a_request_that_makes_no_sense_is_refused_with_its_own_code(string code)
    {
        SelectTargets sane = Given.Select(1);
        SelectTargets command = code switch
        {
            "count-out-of-range" => sane with { Count = 0 },
            "memory-out-of-range" => sane with { MemoryBytes = 0 },
            "unknown-target-choice" => sane with { TargetChoice = "luckiest" },
            _ => sane with { LeaseUntil = Given.Now },
        };

        Assert.Equal(code, Given.Refused(PlacementDecider.Decide(Given.FleetOf(Given.Host("h1")), command, Given.Now)).Reason.Code);
    }

    [Fact]
    public void a_host_that_shrank_below_what_it_holds_gets_nothing()
    {
        Fleet fleet = Given.FleetOf(Given.Host(
            "h1", events: [new VmAllocated("h1", "vm-a", 4 * Given.Gibibyte), new HostRegistered("h1", "rack-a", 2 * Given.Gibibyte)]));

        Assert.Equal("no-fitting-hosts", Given.Refused(PlacementDecider.Decide(fleet, Given.Select(1, memory: 1), Given.Now)).Reason.Code);
    }
}
