using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hosting;
using SpecMesh.ReplicationPolicy;
using SpecMesh.Services.Tests.Hosting;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Services.Tests.HostAgent;

/// <summary>
/// Agents on an embedded bus with the real ownership event streams in SQLite, and a test in the place of the operations: it opens and closes them, sends commands and hears
/// reports.
/// </summary>
internal sealed class AgentMesh : IAsyncDisposable
{
    /// <summary>Only against a hanging test.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public static readonly VmDefinition Vm = new(2 << 20, 2_000, Seed: 7);

    private readonly TemporaryFolder folder = new();
    private readonly List<AgentHost> hosts = [];
    private readonly Heard heard;
    private readonly RunningService service;

    private AgentMesh(RunningService service, Heard heard)
    {
        this.service = service;
        this.heard = heard;
        Ownership = new Ownership(service.Store, service.Types, new FoldCache());
    }

    public Ownership Ownership { get; }

    public MessageBus Bus => service.Bus;

    /// <summary>Every report so far, in the order of arrival.</summary>
    public IReadOnlyList<object> Reports => heard.All;

    public static async Task<AgentMesh> StartAsync()
    {
        Heard heard = new();
        return new AgentMesh(await RunningService.StartAsync(mesh => mesh.Endpoint("probe", heard.Listen)), heard);
    }

    public async Task<AgentHost> HostAsync(string id)
    {
        AgentHost host = await AgentHost.StartAsync(this, id, Path.Combine(folder.Path, id));
        hosts.Add(host);
        return host;
    }

    /// <summary>Machines that the event streams give to the host.</summary>
    public async Task<IReadOnlyList<string>> OwnedByAsync(string hostId)
    {
        OperationDirectory directory = new();
        foreach (StoredEvent stored in (await service.Store.ReadAllAsync(0, 10_000, CancellationToken.None)).Events)
        {
            directory.Apply(stored);
        }

        return directory.OwnedBy(hostId);
    }

    /// <summary>The next report of its kind that fits, from the first on.</summary>
    public Task<T> HearAsync<T>(Func<T, bool>? fits = null) => heard.HearAsync(fits ?? (_ => true));

    /// <summary>Opens an operation in the machine's event stream.</summary>
    public async Task<Operation> OpenAsync(string vmId, OperationKind kind)
    {
        OwnershipView before = await Ownership.ReadAsync(vmId, CancellationToken.None);
        Guid id = Guid.NewGuid();
        await service.RecordAsync((EventStreams.OfVm(vmId), [.. OwnershipDecider.Open(before, id, kind, Vm)]));
        OwnershipView after = await Ownership.ReadAsync(vmId, CancellationToken.None);
        return new Operation(id, vmId, kind, after.Epoch, after.Version, after.OwnerHostId);
    }

    /// <summary>Closes it. Without a winner this also ends every vote.</summary>
    public async Task CloseAsync(Operation operation, OperationOutcome outcome)
    {
        OwnershipView view = await Ownership.ReadAsync(operation.VmId, CancellationToken.None);
        await service.RecordAsync((EventStreams.OfVm(operation.VmId), [.. OwnershipDecider.Close(view, operation.Id, outcome, "test", new Reason("test", "The test ends it."))]));
    }

    /// <summary>Appends to a machine's event stream, as the operations' service would.</summary>
    public Task RecordAsync(string vmId, params object[] events) => service.RecordAsync((EventStreams.OfVm(vmId), events));

    /// <summary>A machine that runs on a host, by a power-on of one replica.</summary>
    public async Task PowerOnAsync(string vmId, AgentHost host)
    {
        Operation operation = await OpenAsync(vmId, OperationKind.PowerOn);
        host.Start(operation.Start(0, host));
        await HearAsync<ReplicaResumed>(resumed => resumed.OperationId == operation.Id);
        await CloseAsync(operation, OperationOutcome.Succeeded);
    }

    /// <summary>A replica of a migration whose target listens, and whose source has been told of it.</summary>
    public async Task RaceAsync(Operation operation, int replica, AgentHost source, AgentHost target)
    {
        target.Start(operation.Start(replica, target));
        ReplicaStarted started = await HearAsync<ReplicaStarted>(report => report.OperationId == operation.Id && report.Replica == replica);
        source.Connect(operation.Connect(replica, source, target, started.DataEndpoint!));
    }

    /// <summary>Waits until something that no message tells has come about. Each look does real work, so the loop paces itself.</summary>
    public static async Task UntilAsync(Func<Task<bool>> holds)
    {
        using CancellationTokenSource patience = new(Patience);
        while (!await holds())
        {
            patience.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (AgentHost host in hosts)
        {
            await host.DisposeAsync();
        }

        await service.DisposeAsync();
        folder.Dispose();
    }
}

/// <summary>An operation as its agents see it.</summary>
internal sealed record Operation(Guid Id, string VmId, OperationKind Kind, int Epoch, long Version, string? SourceHostId)
{
    public StartReplica Start(int replica, AgentHost target) =>
        new(Id, replica, Epoch, Kind, VmId, target.Id, SourceHostId, AgentMesh.Vm, Version, new CostLimits());

    public ConnectReplica Connect(int replica, AgentHost source, AgentHost target, string endpoint) =>
        new(Id, replica, Epoch, VmId, source.Id, target.Id, endpoint, Version, new CostLimits());

    public AbortReplica Abort(int replica, AgentHost host) =>
        new(Id, replica, Epoch, VmId, host.Id, ReplicaOutcome.Cancelled, new Reason("cancelled", "The test ends it."));

    public ReleaseSource Release(AgentHost source) => new(Id, Epoch, VmId, source.Id);
}

/// <summary>What the probe's queue has received.</summary>
internal sealed class Heard
{
    private readonly List<object> reports = [];
    private readonly Lock gate = new();
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public IReadOnlyList<object> All
    {
        get
        {
            lock (gate)
            {
                return [.. reports];
            }
        }
    }

    public void Listen(EndpointBuilder endpoint) => endpoint
        .Receive<ReplicaStarted>(Hear)
        .Receive<ReplicaRoundsReported>(Hear)
        .Receive<ReplicaReady>(Hear)
        .Receive<ReplicaAborted>(Hear)
        .Receive<ReplicaFailed>(Hear)
        .Receive<ReplicaCancelled>(Hear)
        .Receive<ReplicaResumed>(Hear)
        .Receive<ReplicaCleaned>(Hear)
        .Receive<SourceReleased>(Hear)
        .Receive<HostHeartbeat>(Hear);

    public async Task<T> HearAsync<T>(Func<T, bool> fits)
    {
        while (true)
        {
            Task next;
            lock (gate)
            {
                if (reports.OfType<T>().FirstOrDefault(fits) is { } found)
                {
                    return found;
                }

                next = changed.Task;
            }

            await next.WaitAsync(AgentMesh.Patience);
        }
    }

    private Task Hear<T>(T report, HandlerContext context, CancellationToken cancellationToken)
    {
        TaskCompletionSource before;
        lock (gate)
        {
            reports.Add(report!);
            before = changed;
            changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        before.SetResult();
        return Task.CompletedTask;
    }
}
