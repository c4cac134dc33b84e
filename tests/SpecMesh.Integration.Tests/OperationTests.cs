using System.Net;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Integration.Tests;

/// <summary>Operations on the real system, over HTTP and over the bus.</summary>
[Collection(RunningSystemCollection.Name)]
public sealed class OperationTests(RunningSystemFixture system)
{
    [ServersFact]
    public async Task a_migration_is_won_once_and_its_event_stream_tells_the_whole_story()
    {
        string vm = Operations.NewVm();
        OperationView start = await system.Gateway.PowerOnAsync(vm, 64 << 20);
        Guid id = await system.Gateway.SubmitAsync(new OperationRequest(OperationKind.Migrate, vm, 3));
        (OperationView view, IReadOnlyList<string> aliases) = await system.Gateway.FollowAsync(id);

        Assert.Equal(OperationOutcome.Succeeded, view.Outcome);
        Assert.NotEqual(start.WinnerHostId, view.WinnerHostId);
        Assert.Equal(3, view.Replicas.Count);
        Assert.Single(view.Replicas, replica => replica.Outcome == ReplicaOutcome.Won);
        Assert.All(view.Replicas, replica => Assert.True(replica.Outcome == ReplicaOutcome.Won || replica.Cleaned));
        Assert.Equal("spec_op_accepted", aliases[0]);
        Assert.Equal("spec_op_settled", aliases[^1]);
        foreach (string told in (string[])["replicas_planned", "replica_started", "replica_round_completed", "replica_ready", "replica_committed", "spec_op_completed", "replica_resumed", "source_released"])
        {
            Assert.Contains(told, aliases);
        }
    }

    [ServersFact]
    public async Task a_recorded_operation_decided_again_gives_the_same_events()
    {
        string vm = Operations.NewVm();
        await system.Gateway.PowerOnAsync(vm);
        Guid id = await system.Gateway.SubmitAsync(new OperationRequest(OperationKind.Migrate, vm, 2));
        await system.Gateway.FollowAsync(id);

        IReadOnlyList<StoredEvent> stored = await system.Store.ReadStreamAsync(EventStreams.OfOperation(id), 0, 10_000, CancellationToken.None);
        List<RecordedEvent> recorded = [.. stored.Select(one => new RecordedEvent(
            one.Data, one.Headers is { } headers ? System.Text.Json.JsonSerializer.Deserialize<DecidedFrom>(headers, ContractJson.Options) : null))];
        Assert.True(recorded.Count > 8);
        Assert.Null(Redecision.FirstDifference(id, recorded));
    }

    [ServersFact]
    public async Task a_command_from_a_program_that_knows_only_the_contracts_does_the_same_as_http()
    {
        string vm = Operations.NewVm();
        await system.Gateway.PowerOnAsync(vm);
        Ended client = await Programs.RunAsync([Programs.PathOf("SpecMesh.BusClient", "SpecMesh.BusClient"), system.Bus, "migrate", vm, "2"]);
        Assert.True(client.Status == 0, client.ToString());
        SpecOpCompleted completed = System.Text.Json.JsonSerializer.Deserialize<SpecOpCompleted>(client.Output, ContractJson.Options)!;
        Assert.Equal(OperationOutcome.Succeeded, completed.Outcome);
        (OperationView view, IReadOnlyList<string> aliases) = await system.Gateway.FollowAsync(completed.OperationId);
        Assert.Equal(completed.WinnerHostId, view.WinnerHostId);
        Assert.Equal("spec_op_settled", aliases[^1]);

        Ended refused = await Programs.RunAsync([Programs.PathOf("SpecMesh.BusClient", "SpecMesh.BusClient"), system.Bus, "migrate", "no-such-vm", "2"]);
        Assert.True(refused.Status == 1, refused.ToString());
        SpecOpRefused why = System.Text.Json.JsonSerializer.Deserialize<SpecOpRefused>(refused.Output, ContractJson.Options)!;
        Assert.Equal("vmId", why.Field);
        Assert.Equal("unknown-vm", why.Reason.Code);
    }

    [ServersFact]
    public async Task a_cancelled_migration_leaves_the_guest_where_it_was_and_can_be_cancelled_again()
    {
        string vm = Operations.NewVm();
        OperationView start = await system.Gateway.PowerOnAsync(vm, 256 << 20, 200_000);
        Guid id = await system.Gateway.SubmitAsync(new OperationRequest(OperationKind.Migrate, vm, 2));
        for (int i = 0; i < 2; i++)
        {
            using HttpResponseMessage cancelled = await system.Gateway.DeleteAsync($"/v1/operations/{id}");
            Assert.Equal(HttpStatusCode.Accepted, cancelled.StatusCode);
        }

        (OperationView view, _) = await system.Gateway.FollowAsync(id);
        Assert.Equal(OperationOutcome.Cancelled, view.Outcome);
        OwnershipView owner = await OwnerAsync(vm);
        Assert.Equal(start.WinnerHostId, owner.OwnerHostId);
        Assert.Null(owner.OpenOperationId);

        // The machine is free again.
        (OperationView again, _) = await system.Gateway.FollowAsync(await system.Gateway.SubmitAsync(new OperationRequest(OperationKind.Migrate, vm, 1)));
        Assert.Equal(OperationOutcome.Succeeded, again.Outcome);
    }

    [ServersFact]
    public async Task two_operations_on_one_machine_at_once_are_refused_and_different_machines_are_not()
    {
        string[] vms = [Operations.NewVm(), Operations.NewVm(), Operations.NewVm()];
        await Task.WhenAll(vms.Select(vm => system.Gateway.PowerOnAsync(vm)));
        Guid[] moves = await Task.WhenAll(vms.Select(vm => system.Gateway.SubmitAsync(new OperationRequest(OperationKind.Migrate, vm, 2))));
        (int status, string? field, _) = await system.Gateway.PostRawAsync($$"""{"kind":"Migrate","vmId":"{{vms[0]}}","sq":1}""");
        (OperationView View, IReadOnlyList<string>)[] ended = await Task.WhenAll(moves.Select(id => system.Gateway.FollowAsync(id)));
        Assert.All(ended, one => Assert.Equal(OperationOutcome.Succeeded, one.View.Outcome));
        Assert.Equal(409, status);
        Assert.Equal("vmId", field);
    }

    private async Task<OwnershipView> OwnerAsync(string vm)
    {
        UnitOfWork work = new(system.Store, system.Types, "test");
        return (await work.LoadAsync(EventStreams.OfVm(vm), OwnershipDecider.Unknown(vm), OwnershipDecider.Evolve, CancellationToken.None)).State;
    }
}
