using System.Net.Http.Json;
using SpecMesh.Contracts;

namespace SpecMesh.Services.Tests.ReplicationPolicy;

/// <summary>A confirmed death reaches the operations and machines of that host, and no other.</summary>
public sealed class FencingTests : IAsyncDisposable
{
    private static readonly HostFenced SourceDead = new("source", "alice", Given.Why);

    private RunningPolicy policy = null!;

    public async ValueTask DisposeAsync() => await policy.DisposeAsync();

    [Fact]
    public async Task a_machine_is_granted_to_the_target_with_its_image_and_its_commit_is_an_append_as_ever()
    {
        await StartAsync();
        (string vm, Guid operation) = await MovingAsync(new ReplicaReady(default, 1, Given.Epoch, "h2", 0, "ab", Given.OpenVersion));
        await FenceAsync();

        (string where, CommitReplica grant) = await policy.HearAsync<CommitReplica>(grant => grant.OperationId == operation);
        Assert.Equal(("h2", "h2", 1), (where, grant.HostId, grant.Replica));
        OwnershipView recovering = await ReadAsync(vm);
        Assert.Equal((grant.OwnershipVersion, "source", operation), (recovering.Version, recovering.OwnerHostId, recovering.OpenOperationId));
        Assert.Equal(MachineState.Unknown, (await policy.Http.GetAnswerAsync($"/v1/vms/{vm}")).As<VmView>().State);

        using HttpClient h2 = policy.NewAgent("h2");
        TransferOwnership commit = new(operation, 1, "h2", Given.Epoch, grant.OwnershipVersion, 0, "ab");
        Assert.True((await h2.CallAsync($"/ownership/{vm}/transfer", commit)).As<OwnershipAnswer>().Accepted);
        await policy.Service.Bus.PublishAsync(new ReplicaCleaned(operation, 0, "h1"), default);
        await policy.Service.Bus.PublishAsync(new ReplicaResumed(operation, 1, "h2", DateTimeOffset.UtcNow), default);
        await policy.HearAsync<SpecOpSettled>(settled => settled.OperationId == operation);
        Assert.Equal(("h2", null), ((await ReadAsync(vm)).OwnerHostId, (await ReadAsync(vm)).OpenOperationId));
    }

    [Fact]
    public async Task a_machine_without_an_image_is_off_and_may_be_powered_on_again_and_a_neighbour_stays()
    {
        await StartAsync();
        string vm = Given.NewVm(), neighbour = Given.NewVm();
        (string stream, object[] events) = Given.RunningVm(neighbour);
        await policy.Service.RecordAsync(Given.RunningVm(vm), (stream, [.. events.Select(e => e is OwnershipTransferred owner ? owner with { HostId = "h1" } : e)]));
        await FenceAsync();

        OwnerFenced fenced = (OwnerFenced)(await policy.Service.ReadAtLeastAsync(EventStreams.OfVm(vm), 5))[4];
        Assert.Equal(("source", null), (fenced.HostId, fenced.Recovery));
        Assert.Equal(MachineState.Off, (await policy.Http.GetAnswerAsync($"/v1/vms/{vm}")).As<VmView>().State);
        Assert.Equal("h1", (await ReadAsync(neighbour)).OwnerHostId);
    }

    [Fact]
    public async Task a_host_that_is_in_service_again_loses_nothing_to_an_old_fence()
    {
        await StartAsync();
        string vm = Given.NewVm();
        await policy.Service.RecordAsync(Given.RunningVm(vm));
        await policy.Service.Bus.PublishAsync(new FenceMachine(vm, "source", "alice"), default);
        await policy.Service.Bus.PublishAsync(new FenceDeadline("source", "alice", 0), default);
        await policy.Service.Bus.PublishAsync(new SubmitSpecOp(Guid.NewGuid(), OperationKind.Migrate, vm), default);
        await policy.HearAsync<SpecOpAccepted>(accepted => accepted.VmId == vm);
        Assert.Equal("source", (await ReadAsync(vm)).OwnerHostId);
    }

    [Fact]
    public async Task a_recovery_that_has_begun_goes_on_to_its_end_when_the_host_is_in_service_again()
    {
        await StartAsync();
        (string vm, Guid operation) = await MovingAsync(new ReplicaReady(default, 1, Given.Epoch, "h2", 0, "ab", Given.OpenVersion));
        await FenceAsync();
        await policy.HearAsync<CommitReplica>(grant => grant.OperationId == operation);
        await policy.Service.RecordAsync((EventStreams.OfHost("source"), [new HostMaintenanceChanged("source", false, "alice")]));
        await policy.Service.Bus.PublishAsync(new ReplicaCleaned(operation, 0, "h1"), default);
        await policy.Service.Bus.PublishAsync(new ReplicaCleaned(operation, 1, "h2"), default);

        await HostAgent.AgentMesh.UntilAsync(async () => (await ReadAsync(vm)) is { OwnerHostId: null, OpenOperationId: null });
    }

    [Fact]
    public async Task a_power_on_of_a_machine_whose_owner_is_silent_is_refused_as_unknown()
    {
        await StartAsync();
        string vm = Given.NewVm();
        await policy.Service.RecordAsync(Given.RunningVm(vm), (EventStreams.OfHealth("source"), [new HostSuspected("source", Given.Why)]));
        using HttpResponseMessage response = await policy.Http.PostAsJsonAsync("/v1/operations", new { kind = "PowerOn", vmId = vm });
        Assert.Equal(409, (int)response.StatusCode);
        Assert.Contains("owner-unknown", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task an_owner_gives_its_machine_up_by_a_call_and_lists_only_its_own_machines()
    {
        await StartAsync();
        string vm = Given.NewVm();
        await policy.Service.RecordAsync(Given.RunningVm(vm));
        using HttpClient source = policy.NewAgent("source"), h1 = policy.NewAgent("h1");
        Assert.Equal(403, (await h1.GetAnswerAsync("/ownership?host=source")).Status);
        Assert.Equal(403, (await h1.CallAsync($"/ownership/{vm}/release", new ReleaseOwnership("source", Given.Epoch, Given.Why))).Status);
        await HostAgent.AgentMesh.UntilAsync(async () => (await source.GetAnswerAsync("/ownership?host=source")).As<string[]>().Contains(vm));
        Assert.True((await source.CallAsync($"/ownership/{vm}/release", new ReleaseOwnership("source", Given.Epoch, Given.Why))).As<OwnershipAnswer>().Accepted);
        Assert.Equal((null, Given.Epoch + 1), ((await ReadAsync(vm)).OwnerHostId, (await ReadAsync(vm)).Epoch));
    }

    private async Task StartAsync() => policy = await new RunningPolicy().StartAsync();

    private async Task FenceAsync()
    {
        await policy.Service.RecordAsync((EventStreams.OfHost("source"), [SourceDead]));
        await policy.Service.Bus.PublishAsync(SourceDead, default);
    }

    /// <summary>A machine in a migration to h1 and h2, about which this was reported.</summary>
    private async Task<(string VmId, Guid OperationId)> MovingAsync(ReplicaReady ready)
    {
        (string vm, Guid operation) = (Given.NewVm(), Guid.NewGuid());
        await policy.Service.RecordAsync(
            Given.MovingVm(vm, operation), (EventStreams.OfOperation(operation), [.. Given.Racing(operation, vm), ready with { OperationId = operation }]));
        return (vm, operation);
    }

    private async Task<OwnershipView> ReadAsync(string vm)
    {
        using HttpClient agent = policy.NewAgent("h1");
        return (await agent.GetAnswerAsync($"/ownership/{vm}")).As<OwnershipView>();
    }
}
