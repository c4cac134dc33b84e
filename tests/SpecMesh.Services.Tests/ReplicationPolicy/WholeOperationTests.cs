using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.ReplicationPolicy;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Services.Tests.ReplicationPolicy;

/// <summary>One operation from its request to its settlement: what is recorded, what an operator sees, and what is left after a restart.</summary>
public sealed class WholeOperationTests : IAsyncLifetime
{
    private readonly Logged logged = new();
    private RunningPolicy policy = null!;

    public async Task InitializeAsync() => policy = await StartAsync();

    public Task DisposeAsync() => policy.DisposeAsync();

    [Fact]
    public async Task the_recorded_inputs_give_the_recorded_event_stream_again()
    {
        Guid id = await RunAsync(policy, "vm-a");

        IReadOnlyList<StoredEvent> stored = await policy.Service.Store.ReadStreamAsync(EventStreams.OfOperation(id), 0, 1000, default);
        List<RecordedEvent> recorded = [.. stored.Select(one => new RecordedEvent(one.Data, one.Headers?.Deserialize<DecidedFrom>(ContractJson.Options)))];

        Assert.Null(Redecision.FirstDifference(id, recorded));
        Assert.IsType<SpecOpSettled>(recorded[^1].Event);
        Assert.NotNull(Redecision.FirstDifference(id, [.. recorded.SkipLast(1), recorded[^1] with { Event = new SpecOpSettled(id, 99, null) }]));
    }

    [Fact]
    public async Task after_a_restart_the_lists_hold_what_they_held_and_the_operation_is_as_it_was()
    {
        using Hosting.TemporaryFolder folder = new();
        RunningPolicy first = await StartAsync(("SpecMesh:Store", folder.Store));
        Guid id = await RunAsync(first, "vm-a");
        Guid open = (await first.Http.PostAsync(PowerOn("vm-b"))).As<OperationAccepted>().OperationId;
        Answer before = await first.Http.GetAnswerAsync($"/v1/operations/{id}");
        await first.DisposeAsync();

        RunningPolicy second = await StartAsync(("SpecMesh:Store", folder.Store));
        while ((await second.Http.GetAnswerAsync("/health/ready")).Status != 200)
        {
            await Task.Yield();
        }

        Assert.Equal([open, id], (await second.Http.GetAnswerAsync("/v1/operations")).As<OperationView[]>().Select(view => view.OperationId));
        Assert.Equal([("vm-a", "h1", null), ("vm-b", null, open)], (await second.Http.GetAnswerAsync("/v1/vms")).As<VmView[]>().Select(vm => (vm.VmId, vm.OwnerHostId, vm.OpenOperationId)));
        Assert.Equal(before.Body, (await second.Http.GetAnswerAsync($"/v1/operations/{id}")).Body);
        Assert.Equal((409, "vmId"), await second.Http.PostAsync(PowerOn("vm-b")) is var again ? (again.Status, again.Field) : default);
        await second.DisposeAsync();
    }

    [Fact]
    public async Task an_operator_reads_the_reasons_in_the_log()
    {
        Guid id = await RunAsync(policy, "vm-a");
        Guid refused = Guid.NewGuid();
        await policy.Service.Bus.PublishAsync(new SubmitSpecOp(refused, OperationKind.Migrate, "no-such-vm"), default);
        await policy.HearAsync<SpecOpRefused>(told => told.OperationId == refused);

        Assert.Equal($"Operation {id}: PowerOn of vm-a accepted with 2 replicas, for alice", Assert.Single(await logged.UntilAsync(2000, id)).Line);
        Assert.Equal($"Operation {refused} refused, field vmId: There is no machine no-such-vm.", Assert.Single(await logged.UntilAsync(2001, refused)).Line);
        Assert.StartsWith($"Operation {id} Succeeded, winner h1: ", Assert.Single(await logged.UntilAsync(2002, id)).Line, StringComparison.Ordinal);
        Assert.StartsWith($"Operation {id}: replica 1 on h2 Aborted: ", Assert.Single(await logged.UntilAsync(2003, id)).Line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task an_operator_reads_outcomes_in_the_metrics()
    {
        await RunAsync(policy, "vm-a");
        await policy.Http.PostAsync("""{"kind":"Migrate","vmId":"no-such-vm"}""");
        Guid moved = Guid.NewGuid();
        await policy.Service.RecordAsync(
            Given.MovingVm("vm-c", moved, Given.Transferred(moved, "vm-c"), new OperationClosed("vm-c", moved, OperationOutcome.Succeeded)),
            (EventStreams.OfOperation(moved), Given.Won(moved, "vm-c")));
        await policy.Service.Bus.PublishAsync(new SourceReleased(moved, "source", true, 12.5, [0], [ReplicaCounters.None]), default);
        await policy.Service.ReadAsync(EventStreams.OfOperation(moved), 8);

        // They are counted after the commit, which others may see first. Every answer waits for real work, so the loop paces itself by that.
        string[] metrics = [];
        using CancellationTokenSource patience = new(Hosting.Mesh.Patience);
        while (!metrics.Any(line => line.StartsWith("specmesh_downtime_milliseconds_count ", StringComparison.Ordinal)))
        {
            patience.Token.ThrowIfCancellationRequested();
            metrics = (await policy.Http.GetAnswerAsync("/metrics")).Body.Split('\n');
        }

        // The counters are the process's, and other tests count beside this one.
        Assert.All(
            ["specmesh_operations_total{outcome=\"Succeeded\"}", "specmesh_replicas_total{outcome=\"Won\"}", "specmesh_replicas_total{outcome=\"Aborted\"}", "specmesh_refusals_total{reason=\"unknown-vm\"}", "specmesh_downtime_milliseconds_count"],
            name => Assert.Contains(metrics, line => line.StartsWith(name + " ", StringComparison.Ordinal)));
    }

    private static string PowerOn(string vm) => $$$"""{"kind":"PowerOn","vmId":"{{{vm}}}","sq":2,"vm":{"memoryBytes":16777216}}""";

    [Fact]
    public async Task an_operation_that_settles_takes_all_its_deadlines_back()
    {
        await RunAsync(policy, "vm-a");

        Assert.Null(await policy.Service.NextDeadlineAsync(ReplicationPolicyService.Name));
    }

    private Task<RunningPolicy> StartAsync(params (string Key, string Value)[] settings) =>
        new RunningPolicy().StartAsync(mesh => mesh.Services.AddSingleton(logged.NewProvider()), settings);

    /// <summary>A power-on with a replica on <c>h1</c>, which wins, and one on <c>h2</c>, as placement and the agents would drive it.</summary>
    private static async Task<Guid> RunAsync(RunningPolicy policy, string vm)
    {
        Guid id = (await policy.Http.PostAsync(PowerOn(vm))).As<OperationAccepted>().OperationId;
        await policy.HearAsync<SelectTargets>(wanted => wanted.OperationId == id);
        await TellAsync(new TargetsReserved(id, 0, ["h1", "h2"], Given.Why));
        (_, StartReplica start) = await policy.HearAsync<StartReplica>(start => start.OperationId == id && start.Replica == 0);
        await TellAsync(new ReplicaStarted(id, 0, start.Epoch, "h1", null));
        await TellAsync(new ReplicaReady(id, 0, start.Epoch, "h1", 0, "ab"));
        using HttpClient h1 = policy.NewAgent("h1");
        Answer won = await h1.CallAsync($"/ownership/{vm}/transfer", new TransferOwnership(id, 0, "h1", start.Epoch, start.OwnershipVersion, 0, "ab"));
        Assert.True(won.As<OwnershipAnswer>().Accepted);
        await policy.HearAsync<AbortReplica>(abort => abort.OperationId == id && abort.Replica == 1);
        await TellAsync(new ReplicaResumed(id, 0, "h1", DateTimeOffset.UnixEpoch));
        await TellAsync(new ReplicaCleaned(id, 1, "h2"));
        await policy.HearAsync<SpecOpSettled>(settled => settled.OperationId == id);
        return id;

        // Each report is waited for, because handling is concurrent and the recorded order is part of what is compared.
        async Task TellAsync(object report)
        {
            int before = (await policy.Service.ReadAsync(EventStreams.OfOperation(id))).Count;
            await policy.Service.Bus.PublishAsync(report, default);
            await policy.Service.ReadAtLeastAsync(EventStreams.OfOperation(id), before + 1);
        }
    }
}
