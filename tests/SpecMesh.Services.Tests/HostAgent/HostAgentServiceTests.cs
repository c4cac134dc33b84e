using Microsoft.Extensions.DependencyInjection;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.EventStore;
using SpecMesh.HostAgent;
using SpecMesh.Hypervisors;
using SpecMesh.Hypervisors.Process;
using SpecMesh.ReplicationPolicy;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Services.Tests.HostAgent;

/// <summary>Every command of an agent once over its queue, with another machine beside it that must stay as it is.</summary>
public sealed class HostAgentServiceTests : IAsyncLifetime
{
    private readonly string folder = Directory.CreateTempSubdirectory("specmesh-agents-").FullName;
    private readonly Heard heard = new();
    private RunningService service = null!;
    private Ownership ownership = null!;

    public async Task InitializeAsync()
    {
        service = await RunningService.StartAsync(mesh =>
        {
            mesh.Services.AddSingleton<Ownership>();
            mesh.Services.AddSingleton<IOwnershipLog>(services => new ScriptedOwnership(
                services.GetRequiredService<Ownership>(), host => Task.FromResult(services.GetRequiredService<OperationDirectory>().OwnedBy(host))));
            mesh.AddHostAgent(Options("h1", allowFaults: true));
            mesh.AddHostAgent(Options("h2", allowFaults: false));
            mesh.Endpoint("probe", heard.Listen);
        });
        ownership = new Ownership(service.Store, service.Types, new FoldCache());
    }

    public async Task DisposeAsync()
    {
        await service.DisposeAsync();
        foreach (string host in Directory.GetDirectories(folder))
        {
            foreach (IGuest guest in await new ProcessHypervisor(new ProcessHypervisorOptions(Path.Combine(host, "hypervisor"))).FindGuestsAsync(default))
            {
                await guest.DestroyAsync(default);
            }
        }

        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task commands_reach_their_own_operation_and_no_other()
    {
        Operation on = await OpenAsync("vm");
        await SendAsync("h1", Start(on, "h1"));
        await heard.HearAsync<ReplicaResumed>(resumed => resumed.OperationId == on.Id);
        await heard.HearAsync<HostHeartbeat>(beat => beat.HostId == "h1" && beat.Guests.Any(guest => guest is { VmId: "vm", State: GuestState.Running, MemoryBytes: 2 << 20 }));

        // A start that comes again, an abort of the winner and one of another operation, a connect of a machine that is elsewhere, a release of nothing.
        await SendAsync("h1", Start(on, "h1"));
        await SendAsync("h1", new AbortReplica(on.Id, 0, on.Epoch, "vm", "h1", ReplicaOutcome.Cancelled, new Reason("test", "A test.")));
        Guid other = Guid.NewGuid();
        await SendAsync("h1", new AbortReplica(other, 3, 0, "vm", "h1", ReplicaOutcome.Cancelled, new Reason("test", "A test.")));
        Assert.Equal(3, (await heard.HearAsync<ReplicaCleaned>(cleaned => cleaned.OperationId == other)).Replica);
        await SendAsync("h1", new ConnectReplica(other, 4, 0, "elsewhere", "h1", "h2", "127.0.0.1:1", 1, new CostLimits()));
        Assert.Equal("machine-not-here", (await heard.HearAsync<ReplicaFailed>(failed => failed.OperationId == other)).Reason.Code);
        await SendAsync("h1", new ReleaseSource(other, 0, "vm", "h1"));
        Assert.False((await heard.HearAsync<SourceReleased>(released => released.OperationId == other)).Destroyed);

        Agent agent = service.Services.GetRequiredKeyedService<Agent>("h1");
        Assert.Equal(GuestState.Running, agent.Owned("vm")!.State);
        Assert.Single(heard.All.OfType<ReplicaResumed>());
        Assert.DoesNotContain(heard.All, report => report is ReplicaCleaned cleaned && cleaned.OperationId == on.Id);
    }

    /// <summary>Seen in the crash matrix: a report that was lost with its queue was never made again.</summary>
    [Fact]
    public async Task a_winner_that_is_asked_says_again_that_it_runs()
    {
        Operation on = await OpenAsync("vm");
        await SendAsync("h1", Start(on, "h1"));
        ReplicaResumed first = await heard.HearAsync<ReplicaResumed>(resumed => resumed.OperationId == on.Id);
        await SendAsync("h1", new ConfirmReplica(on.Id, 0, "vm", "h1"));
        ReplicaResumed again = await heard.HearAsync<ReplicaResumed>(resumed => resumed.OperationId == on.Id && resumed.At > first.At);
        Assert.Equal((0, "h1"), (again.Replica, again.HostId));
    }

    [Fact]
    public async Task a_start_that_comes_after_its_abort_builds_nothing()
    {
        Operation on = await OpenAsync("vm");
        await SendAsync("h1", new AbortReplica(on.Id, 0, on.Epoch, "vm", "h1", ReplicaOutcome.Cancelled, new Reason("test", "A test.")));
        await heard.HearAsync<ReplicaCleaned>(cleaned => cleaned.OperationId == on.Id);
        Agent agent = service.Services.GetRequiredKeyedService<Agent>("h1");
        StartReplicaHandler.Handle(agent, Start(on, "h1"));
        Assert.Equal(0, agent.Busy);
        Assert.Empty(agent.Guests);
    }

    [Fact]
    public async Task faults_are_injected_where_they_are_allowed_and_nowhere_else()
    {
        foreach (string host in new[] { "h1", "h2" })
        {
            await SendAsync(host, new InjectFault(host, FaultKind.FailStart));
            Operation on = await OpenAsync($"on-{host}");

            // The queue's consumer may take both at once; the fault is there before the start is sent.
            await AgentMesh.UntilAsync(() => Task.FromResult(host == "h2" || FailsStarts(service.Services.GetRequiredKeyedService<Agent>(host))));
            await SendAsync(host, Start(on, host));
        }

        ReplicaFailed failed = await heard.HearAsync<ReplicaFailed>(_ => true);
        Assert.Equal(("h1", "shell-failed"), (failed.HostId, failed.Reason.Code));
        await heard.HearAsync<ReplicaCleaned>(cleaned => cleaned.HostId == "h1");
        await heard.HearAsync<ReplicaResumed>(resumed => resumed.HostId == "h2");
        Assert.Empty(service.Services.GetRequiredKeyedService<Agent>("h1").Guests);
    }

    [Fact]
    public void a_broken_transfer_is_for_one_stream_and_a_slow_one_until_it_is_ended()
    {
        Faults faults = new(TimeProvider.System);
        faults.Set(new InjectFault("h1", FaultKind.FailTransfer, AfterBytes: 100));
        Assert.Equal([new ReceiverFaults(0, 100), new ReceiverFaults()], new[] { faults.Take(), faults.Take() });
        faults.Set(new InjectFault("h1", FaultKind.ThrottleTransfer, BytesPerSecond: 50));
        Assert.Equal([new ReceiverFaults(50), new ReceiverFaults(50)], new[] { faults.Take(), faults.Take() });
        faults.Set(new InjectFault("h1", FaultKind.None));
        Assert.Equal(new ReceiverFaults(), faults.Take());
    }

    [Fact]
    public void a_fault_with_an_end_ends_by_itself_also_when_it_comes_too_late()
    {
        FailureMonitor.ManualTime time = new();
        Faults faults = new(time);
        faults.Set(new InjectFault("h1", FaultKind.FailStart, Until: time.GetUtcNow().AddSeconds(60)));
        time.Advance(59);
        Assert.Throws<InjectedFaultException>(faults.ThrowIfStartFails);
        time.Advance(1);
        faults.ThrowIfStartFails();
        faults.Set(new InjectFault("h1", FaultKind.ThrottleTransfer, BytesPerSecond: 50, Until: time.GetUtcNow().AddSeconds(-1)));
        Assert.Equal(new ReceiverFaults(), faults.Take());
    }

    private static bool FailsStarts(Agent agent) => Record.Exception(agent.Faults.ThrowIfStartFails) is InjectedFaultException;

    private static StartReplica Start(Operation operation, string host) =>
        new(operation.Id, 0, operation.Epoch, OperationKind.PowerOn, operation.VmId, host, null, AgentMesh.Vm, operation.Version, new CostLimits());

    private Task SendAsync(string host, object command) => service.Bus.SendAsync(HostQueue.Of(host), command, CancellationToken.None);

    private async Task<Operation> OpenAsync(string vmId)
    {
        Guid id = Guid.NewGuid();
        await service.RecordAsync((EventStreams.OfVm(vmId), [.. OwnershipDecider.Open(OwnershipDecider.Unknown(vmId), id, OperationKind.PowerOn, AgentMesh.Vm)]));
        OwnershipView view = await ownership.ReadAsync(vmId, CancellationToken.None);
        return new Operation(id, vmId, OperationKind.PowerOn, view.Epoch, view.Version, null);
    }

    private HostAgentOptions Options(string id, bool allowFaults) => new()
    {
        HostId = id,
        FailureDomain = id,
        MemoryBytes = 1L << 30,
        StateDirectory = Path.Combine(folder, id),
        ClusterKey = AgentHost.ClusterKey,
        AllowFaultInjection = allowFaults,
        HeartbeatInterval = TimeSpan.FromMilliseconds(100),
        TickInterval = TimeSpan.FromMilliseconds(50),
    };
}
