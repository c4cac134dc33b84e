using SpecMesh.Contracts;

namespace SpecMesh.Xen.Tests;

/// <summary>What <c>tests/run xen-all</c> runs beyond the gate. Whatever happens: never two runners, never none while a host has the machine's memory, and nothing is left behind.</summary>
[Trait("Bed", "long")]
[Collection(BedCollection.Name)]
public sealed class LongTests(XenBed bed)
{
    /// <summary>Agents die at the steps of the protocol (SpecMesh.Hosting, FaultPoints); their supervisor starts them again.</summary>
    [XenTheory]
    [InlineData("source", "streams-open")]
    [InlineData("source", "round")]
    [InlineData("source", "suspended")]
    [InlineData("source", "voted")]
    [InlineData("source", "source-destroyed")]
    [InlineData("target", "ready")]
    [InlineData("target", "appended")]
    [InlineData("target", "resumed")]
    [InlineData("target", "losers-cleaned")]
    public async Task one_machine_survives_the_death_of_the_agent_of(string side, string step)
    {
        string source = await bed.OwnerAsync();
        long before = await XenBed.TickAfterAsync(source, 0);
        string[] armed = [.. XenBed.Hosts.Where(host => (host == source) == (side == "source"))];
        await XenBed.ArmAsync(armed, step);
        Guid id = await bed.MigrateAsync(2);
        await XenBed.StrikeAsync("agent", await XenBed.ReachedAsync(armed, step), "kill");
        await XenBed.ReleaseAsync(armed);
        await bed.EndAsync(id);
        await XenBed.AssertOneRunnerAsync((await bed.FindMachineAsync())!.OwnerHostId!, before);
    }

    [XenFact]
    public async Task a_target_host_that_crashes_with_a_complete_image_costs_the_machine_nothing()
    {
        string source = await bed.OwnerAsync();
        long before = await XenBed.TickAfterAsync(source, 0);
        string[] targets = [.. XenBed.Hosts.Where(host => host != source)];
        await XenBed.ArmAsync(targets, "ready");
        Guid id = await bed.MigrateAsync(2);
        string victim = await XenBed.ReachedAsync(targets, "ready");
        try
        {
            await XenBed.StrikeAsync("monitor", victim, "quit");
            await XenBed.ReleaseAsync(targets.Where(host => host != victim));
            OperationView ended = await bed.UntilAsync(id, view => view.Outcome is not null);
            Assert.NotEqual(victim, ended.WinnerHostId);
            await XenBed.AssertOneRunnerAsync(ended.WinnerHostId ?? source, before);
        }
        finally
        {
            await bed.RestartAsync(victim);
        }

        await bed.EndAsync(id);
    }

    [XenTheory]
    [InlineData("stop", "cont")]
    [InlineData("set_link n1 off", "set_link n1 on")]
    public async Task a_target_that_hangs_or_is_cut_off_loses_and_is_clean_when_it_is_back(string fault, string end)
    {
        string source = await bed.OwnerAsync();
        long before = await XenBed.TickAfterAsync(source, 0);
        (Guid id, OperationView suspended) = await bed.MigrateUntilSuspendedAsync(source);
        string victim = suspended.Replicas[0].HostId;
        try
        {
            await XenBed.StrikeAsync("monitor", victim, fault);
            await XenBed.ReleaseAsync([source]);
            OperationView won = await bed.UntilAsync(id, view => view.Outcome is not null);
            Assert.True(won.Outcome == OperationOutcome.Succeeded && won.WinnerHostId != victim, $"{won}");
        }
        finally
        {
            await XenBed.StrikeAsync("monitor", victim, end);
        }

        OperationView ended = await bed.EndAsync(id);
        await XenBed.AssertOneRunnerAsync(ended.WinnerHostId!, before);
    }

    [XenFact]
    public async Task a_target_that_is_slow_loses_to_one_that_is_not()
    {
        string source = await bed.OwnerAsync();
        long before = await XenBed.TickAfterAsync(source, 0);
        string victim = XenBed.Hosts.First(host => host != source);
        await XenBed.StrikeAsync("slow", victim, "10");
        try
        {
            OperationView won = await bed.UntilAsync(await bed.MigrateAsync(2), view => view.Outcome is not null);
            Assert.True(won.Outcome == OperationOutcome.Succeeded && won.WinnerHostId != victim, $"{won}");
            await bed.EndAsync(won.OperationId);
            await XenBed.AssertOneRunnerAsync(won.WinnerHostId!, before);
        }
        finally
        {
            await XenBed.StrikeAsync("slow", victim, "off");
        }
    }

    [XenFact]
    public async Task a_source_that_is_cut_off_lets_the_machine_go_on_without_waiting_for_its_targets()
    {
        string source = await bed.OwnerAsync();
        (Guid id, _) = await bed.MigrateUntilSuspendedAsync(source);
        long stood = await XenBed.TickAfterAsync(source, 0);
        try
        {
            await XenBed.StrikeAsync("monitor", source, "set_link n1 off");
            await XenBed.ReleaseAsync([source]);
            await XenBed.TickAfterAsync(source, stood);
        }
        finally
        {
            await XenBed.StrikeAsync("monitor", source, "set_link n1 on");
        }

        OperationView ended = await bed.EndAsync(id);
        await XenBed.AssertOneRunnerAsync(ended.WinnerHostId ?? source, stood);
    }

    [XenFact]
    public async Task a_target_without_memory_fails_and_the_machine_stays()
    {
        string source = await bed.OwnerAsync();
        long before = await XenBed.TickAfterAsync(source, 0);
        string target = XenBed.Hosts.First(host => host != source);
        const string fill = "xl create -q -e -p /etc/specmesh/guest.cfg name='\"ballast\"' memory=$(($(xl info free_memory) - 30))";
        (_, string filled) = await XenBed.BedAsync("sh", target, fill);
        OperationView ended = await bed.EndAsync(await bed.MigrateAsync(1, target));
        await XenBed.BedAsync("sh", target, "xl destroy ballast");
        Assert.True(ended.Outcome == OperationOutcome.Failed, $"{ended} {filled}");
        await XenBed.AssertOneRunnerAsync(source, before);
    }

    [XenFact]
    public async Task twenty_migrations_in_a_row_lose_no_page()
    {
        string owner = await bed.OwnerAsync();
        long tick = await XenBed.TickAfterAsync(owner, 0);
        for (int i = 0; i < 20; i++)
        {
            OperationView ended = await bed.EndAsync(await bed.MigrateAsync(2));
            Assert.True(ended.Outcome == OperationOutcome.Succeeded, $"the {i + 1}th: {ended}");
            owner = ended.WinnerHostId!;
            await XenBed.AssertOneRunnerAsync(owner, tick);
            tick = await XenBed.TickAfterAsync(owner, tick);
        }
    }
}
