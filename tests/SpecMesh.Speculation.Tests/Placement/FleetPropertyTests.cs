using SpecMesh.Contracts;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Speculation.Tests.Placement;

/// <summary>Many operations over one fleet, in a seeded order, with repetitions: what must hold whatever happens.</summary>
public class FleetPropertyTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void no_unfit_host_is_ever_chosen_and_every_reservation_returns(ulong seed)
    {
        Prng random = new(seed);
        Fleet fleet = RandomFleet(random);
        List<OperationFacts> running = [];
        List<OperationFacts> ended = [];
        int chosen = 0;
        for (int operation = 1; operation <= 300; operation++)
        {
            (fleet, OperationFacts? started) = Start(fleet, random, operation, ref chosen);
            if (started is not null)
            {
                running.Add(started);
            }

            if (running.Count > 0 && random.NextInt(3) > 0)
            {
                int index = random.NextInt(running.Count);
                (fleet, OperationFacts over) = End(fleet, random, running[index]);
                running.RemoveAt(index);
                ended.Add(over);
            }

            Assert.All(fleet.Hosts.Values, host => Assert.True(host.FreeBytes >= 0, $"seed {seed}: {host.HostId} has promised more than it has."));
        }

        foreach (OperationFacts facts in running)
        {
            (fleet, OperationFacts over) = End(fleet, random, facts);
            ended.Add(over);
        }

        Assert.True(chosen > 100, $"seed {seed}: only {chosen} hosts were chosen, so the run shows little.");
        Assert.All(fleet.Hosts.Values, host => Assert.Equal(0, host.ReservedBytes));
        Assert.Equal(
            ended.Where(facts => facts.WinnerHostId is not null).Select(facts => facts.VmId).Order(),
            fleet.Hosts.Values.SelectMany(host => host.Allocations.Keys).Order());
        Assert.All(ended, facts => Assert.Empty(ReservationDecider.DecideEnd(fleet, facts, facts.WinnerHostId).EventsByHost));
    }

    private static Fleet RandomFleet(Prng random)
    {
        HostState[] hosts =
        [
            .. Enumerable.Range(0, 12).Select(i => random.NextInt(6) == 0
                ? Given.Host($"h{i:00}", $"rack-{i % 4}", 400, new HostMaintenanceChanged($"h{i:00}", true, null))
                : Given.Host($"h{i:00}", $"rack-{i % 4}", 400 + random.NextInt(400))),
        ];
        Fleet fleet = Given.FleetOf(hosts);
        return fleet with { Suspected = fleet.Suspected.Add("h03", new Reason("silent", "No beat.")) };
    }

    private static (Fleet Fleet, OperationFacts? Started) Start(Fleet fleet, Prng random, int operation, ref int chosen)
    {
        string[] excluded = [$"h{random.NextInt(12):00}"];
        string[] allowed = random.NextInt(3) == 0 ? [.. random.Shuffle(fleet.Hosts.Keys).Take(5)] : [];
        SelectTargets command = Given.Select(
            operation, 1 + random.NextInt(4), 0, TargetChoice.Names[random.NextInt(3)], 1 + random.NextInt(60), allowed, excluded, random.NextInt(2) == 0);
        PlacementDecision decision = PlacementDecider.Decide(fleet, command, Given.Now);
        foreach (string hostId in decision.EventsByHost.Keys)
        {
            chosen++;
            HostState host = fleet.Hosts[hostId];
            Assert.DoesNotContain(hostId, excluded);
            Assert.True(allowed.Length == 0 || allowed.Contains(hostId));
            Assert.False(host.InMaintenance);
            Assert.DoesNotContain(hostId, fleet.Suspected.Keys);
            Assert.True(host.FreeBytes >= command.MemoryBytes);
        }

        Fleet after = fleet.Evolve(decision);
        Assert.Empty(PlacementDecider.Decide(after, command, Given.Now).EventsByHost);
        (int, string)[] replicas = [.. decision.EventsByHost.Keys.Select((hostId, replica) => (replica, hostId))];
        return (after, replicas.Length == 0 ? null : Given.Facts(operation, Given.Accepted(operation, $"vm-{operation}"), Given.Planned(operation, replicas)));
    }

    /// <summary>Completion, clean-ups, release and settlement in any order, each sometimes twice.</summary>
    private static (Fleet Fleet, OperationFacts Over) End(Fleet fleet, Prng random, OperationFacts running)
    {
        // Few winners, so that the fleet does not fill up with machines that live for ever.
        string? winner = random.NextInt(10) == 0 ? random.Shuffle(running.Replicas.Values)[0] : null;
        OperationFacts won = running with { Standing = OperationStanding.Completed, WinnerHostId = winner };
        OperationFacts over = won with { Standing = OperationStanding.Settled };
        List<Func<Fleet, PlacementDecision>> inputs = [f => ReservationDecider.DecideEnd(f, won, winner), f => ReservationDecider.DecideEnd(f, over, winner)];
        inputs.AddRange(running.Replicas.Where(replica => replica.Value != winner).Select(replica => (Func<Fleet, PlacementDecision>)(
            f => ReservationDecider.Decide(f, new ReplicaCleaned(running.OperationId, replica.Key, replica.Value), won))));
        inputs.Add(f => ReservationDecider.Decide(f, new ReleaseTargets(running.OperationId, [.. running.Replicas.Values]), won));
        foreach (Func<Fleet, PlacementDecision> input in random.Shuffle(inputs.Concat(inputs)))
        {
            fleet = fleet.Evolve(input(fleet));
        }

        return (fleet, over);
    }
}
