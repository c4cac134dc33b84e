using SpecMesh.Contracts;

namespace SpecMesh.Xen.Tests;

/// <summary>What the gate runs: <c>tests/run xen</c>. A running machine that checks its own memory, moved between stock Xen hosts by the published agents and the real services.</summary>
[Trait("Bed", "gate")]
[Collection(BedCollection.Name)]
public sealed class GateTests(XenBed bed)
{
    [XenFact]
    public async Task a_race_to_two_hosts_is_won_once_and_the_loser_cut_in_mid_stream_leaves_nothing()
    {
        string source = await bed.OwnerAsync();
        long before = await XenBed.TickAfterAsync(source, 0);
        OperationView ended = await bed.EndAsync(await bed.MigrateAsync(2));

        Assert.True(ended.Outcome == OperationOutcome.Succeeded, $"{ended}");
        ReplicaView winner = Assert.Single(ended.Replicas, replica => replica.Outcome == ReplicaOutcome.Won);
        ReplicaView loser = Assert.Single(ended.Replicas, replica => replica.Outcome == ReplicaOutcome.Aborted);
        Assert.Equal("lost-the-race", loser.Reason!.Code);
        Assert.True(winner.Counters.Rounds > 1 && winner.Counters.PagesSent > 10_000 && loser.Counters.PagesSent > 0, $"{winner} {loser}");
        Assert.NotEqual(source, winner.HostId);
        await XenBed.AssertOneRunnerAsync(winner.HostId, before);
    }

    [XenFact]
    public async Task when_the_agents_of_all_targets_die_in_mid_stream_the_source_resumes_the_machine()
    {
        string source = await bed.OwnerAsync();
        long before = await XenBed.TickAfterAsync(source, 0);
        (Guid id, OperationView suspended) = await bed.MigrateUntilSuspendedAsync(source);
        await Task.WhenAll(suspended.Replicas.Select(replica => XenBed.StrikeAsync("agent", replica.HostId, "kill")));
        await XenBed.ReleaseAsync([source]);

        OperationView ended = await bed.EndAsync(id);
        Assert.True(ended.Outcome == OperationOutcome.Failed, $"{ended}");
        Assert.All(ended.Replicas, replica => Assert.Equal(ReplicaOutcome.Failed, replica.Outcome));
        Assert.Equal(source, (await bed.FindMachineAsync())!.OwnerHostId);

        // The agents come back by themselves, and take down what their predecessors were receiving.
        await XenBed.AssertOneRunnerAsync(source, before);
    }

    [XenFact]
    public async Task when_a_target_host_crashes_in_mid_stream_the_other_one_wins()
    {
        string source = await bed.OwnerAsync();
        long before = await XenBed.TickAfterAsync(source, 0);
        (Guid id, OperationView suspended) = await bed.MigrateUntilSuspendedAsync(source);
        string victim = suspended.Replicas[0].HostId;
        try
        {
            await XenBed.StrikeAsync("monitor", victim, "quit");
            await XenBed.ReleaseAsync([source]);
            OperationView won = await bed.UntilAsync(id, view => view.Outcome is not null);
            Assert.True(won.Outcome == OperationOutcome.Succeeded, $"{won}");
            Assert.Equal(suspended.Replicas[1].HostId, won.WinnerHostId);
            await XenBed.AssertOneRunnerAsync(won.WinnerHostId!, before);
        }
        finally
        {
            await bed.RestartAsync(victim);
        }

        Assert.True((await bed.EndAsync(id)).Outcome == OperationOutcome.Succeeded);
    }
}
