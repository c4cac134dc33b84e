using SpecMesh.Contracts;

namespace SpecMesh.Services.Tests.HostAgent;

/// <summary>What an agent puts right by itself, with a neighbour beside it that is as recorded.</summary>
public sealed class ReconcilerTests : IAsyncLifetime
{
    private static readonly Reason Why = new("test", "For a test.");

    private AgentMesh mesh = null!;
    private AgentHost host = null!;

    public async Task InitializeAsync()
    {
        mesh = await AgentMesh.StartAsync();
        host = await mesh.HostAsync("h1");
        await mesh.PowerOnAsync("neighbour", host);
        await mesh.PowerOnAsync("vm", host);
    }

    public async Task DisposeAsync()
    {
        Assert.Equal("h1", (await mesh.Ownership.ReadAsync("neighbour", default)).OwnerHostId);
        Assert.Equal(GuestState.Running, host.Agent.Owned("neighbour")?.State);
        await mesh.DisposeAsync();
    }

    [Fact]
    public async Task a_machine_whose_guest_has_died_is_given_up_and_can_be_powered_on_again()
    {
        host.KillGuest("vm");
        await AgentMesh.UntilAsync(async () => (await mesh.Ownership.ReadAsync("vm", default)) is { OwnerHostId: null, Epoch: 2 });
        await mesh.PowerOnAsync("vm", host);
        Assert.Equal(GuestState.Running, host.Agent.Owned("vm")!.State);
    }

    [Fact]
    public async Task a_machine_whose_guest_died_while_no_agent_ran_is_given_up_by_the_next_one()
    {
        await host.StopAgentAsync();
        host.KillGuest("vm");
        await host.StartAgentAsync();
        await AgentMesh.UntilAsync(async () => (await mesh.Ownership.ReadAsync("vm", default)).OwnerHostId is null);
    }

    [Fact]
    public async Task a_guest_whose_machine_was_given_to_nobody_else_in_a_later_epoch_is_destroyed()
    {
        await mesh.RecordAsync("vm", new OwnerFenced("vm", "h1", 1, "alice", Why));
        host.Agent.Reconciler.Soon();
        await AgentMesh.UntilAsync(async () => (await host.GuestsAsync()).Count == 1);
        Assert.Null(host.Agent.Owned("vm"));
    }

    [Fact]
    public async Task a_machine_whose_guest_nobody_has_seen_end_is_unknown_until_somebody_vouches_where_the_state_directory_is_new()
    {
        AgentHost fresh = await mesh.HostAsync("h9");
        await mesh.RecordAsync("lost", new VmDefined("lost", AgentMesh.Vm), new OwnershipTransferred("lost", Guid.NewGuid(), 0, "h9", 1, 0, "d"));
        fresh.Agent.Reconciler.Soon();
        host.KillGuest("vm");
        await AgentMesh.UntilAsync(async () => (await mesh.Ownership.ReadAsync("vm", default)).OwnerHostId is null);
        Assert.Equal("h9", (await mesh.Ownership.ReadAsync("lost", default)).OwnerHostId);
        fresh.Agent.Reconciler.TrustWhatIsFound();
        fresh.Agent.Reconciler.Soon();
        await AgentMesh.UntilAsync(async () => (await mesh.Ownership.ReadAsync("lost", default)).OwnerHostId is null);
    }

    [Fact]
    public async Task while_an_operation_is_open_nothing_is_given_up()
    {
        Operation open = await mesh.OpenAsync("vm", OperationKind.Migrate);
        host.KillGuest("vm");
        await AgentMesh.UntilAsync(async () => (await host.GuestsAsync()).Count == 1);
        host.Agent.Reconciler.Soon();
        Assert.Equal("h1", (await mesh.Ownership.ReadAsync("vm", default)).OwnerHostId);
        await mesh.CloseAsync(open, OperationOutcome.Failed);
        host.Agent.Reconciler.Soon();
        await AgentMesh.UntilAsync(async () => (await mesh.Ownership.ReadAsync("vm", default)).OwnerHostId is null);
    }
}
