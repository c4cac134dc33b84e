using System.Collections.Concurrent;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hosting;
using SpecMesh.Hypervisors;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>
/// One host's agent: the guests that its host owns, the operations that it is the source of, and the replicas that it is the target of. Commands reach it through the files
/// named after them.
/// </summary>
public sealed class Agent : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, IGuest> owned = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Guid, SourceOperation> sources = new();
    private readonly ConcurrentDictionary<(Guid, int), TargetReplica> targets = new();
    private readonly ConcurrentDictionary<string, Task> closing = new(StringComparer.Ordinal);
    private readonly EndedReplicas endedReplicas = new();
    private readonly Lock gate = new();
    private readonly MessageBus bus;

    public Agent(HostAgentOptions options, IHypervisor hypervisor, IOwnershipLog ownershipLog, MessageBus bus, TimeProvider time, ILogger<Agent> logger)
    {
        Options = options;
        Hypervisor = hypervisor;
        OwnershipLog = ownershipLog;
        Time = time;
        Logger = logger;
        this.bus = bus;
        Reports = new Reports(bus, time, logger);
        Journal = new Journal(options.StateDirectory);
        Listener = MigrationListener.Start(
            new MigrationListenerOptions { Endpoint = options.DataEndpoint, Refused = (peer, error) => logger.StreamRefused(peer?.ToString(), error.Message) }, time);
        DataEndpoint = Listener.Endpoint.ToString();
    }

    public HostAgentOptions Options { get; }

    /// <summary>Where migration streams come in.</summary>
    public string DataEndpoint { get; }

    /// <summary>What the hypervisor can do; null until the self-test is over.</summary>
    public HypervisorCapabilities? Capabilities { get; internal set; }

    internal IHypervisor Hypervisor { get; }

    internal IOwnershipLog OwnershipLog { get; }

    internal TimeProvider Time { get; }

    internal ILogger Logger { get; }

    internal Reports Reports { get; }

    internal Journal Journal { get; }

    internal MigrationListener Listener { get; }

    internal Faults Faults { get; } = new();

    /// <summary>The guests on this host, owned ones and shells.</summary>
    public IReadOnlyList<HostedGuest> Guests =>
    [
        .. owned.Select(pair => Describe(pair.Key, pair.Value)),
        .. targets.Values.Where(replica => !IsOwned(replica.Command.VmId, replica.Command.OperationId, replica.Command.Replica)).Select(replica => new HostedGuest(
            replica.Command.VmId, GuestState.Paused, replica.Command.Vm.MemoryBytes, replica.Command.OperationId, replica.Command.Replica)),
    ];

    /// <summary>Guests that this host owns, for whoever verifies them in the same process.</summary>
    public IGuest? Owned(string vmId) => owned.GetValueOrDefault(vmId);

    /// <summary>The target's side of a replica, made when it is new; null when the replica has ended here before.</summary>
    internal TargetReplica? StartTarget(StartReplica command)
    {
        lock (gate)
        {
            if (endedReplicas.Contains(command.OperationId, command.Replica) || targets.ContainsKey((command.OperationId, command.Replica)))
            {
                return null;
            }

            TargetReplica replica = new(this, command);
            targets[(command.OperationId, command.Replica)] = replica;
            return replica;
        }
    }

    internal TargetReplica? Target(Guid operationId, int replica) => targets.GetValueOrDefault((operationId, replica));

    internal SourceOperation? Source(Guid operationId) => sources.GetValueOrDefault(operationId);

    /// <summary>The source's side of an operation, made when it is new.</summary>
    internal SourceOperation SourceOf(Guid operationId, string vmId, int epoch, long ownershipVersion)
    {
        lock (gate)
        {
            if (!sources.TryGetValue(operationId, out SourceOperation? source))
            {
                source = new SourceOperation(this, new SourceState(operationId, vmId, Options.HostId, epoch, ownershipVersion), owned.GetValueOrDefault(vmId));
                sources[operationId] = source;
            }

            return source;
        }
    }

    /// <summary>A replica that this host must never start again.</summary>
    internal void MarkEnded(Guid operationId, int replica)
    {
        lock (gate)
        {
            endedReplicas.Add(operationId, replica);
        }
    }

    internal void Forget(SourceOperation source, Guid operationId, string vmId)
    {
        sources.TryRemove(operationId, out _);
        // From within its own mailbox: the mailbox ends after this step, so it cannot be waited for here.
        closing[vmId] = Task.Run(async () => await source.DisposeAsync());
    }

    /// <summary>Completes when no earlier operation holds the machine's dirty log any more.</summary>
    internal Task DirtyLogFreeAsync(string vmId) => closing.GetValueOrDefault(vmId) ?? Task.CompletedTask;

    internal void Forget(TargetReplica replica)
    {
        MarkEnded(replica.Command.OperationId, replica.Command.Replica);
        targets.TryRemove((replica.Command.OperationId, replica.Command.Replica), out _);
        _ = Task.Run(async () => await replica.DisposeAsync());
    }

    internal void GuestOwned(string vmId, IGuest guest) => owned[vmId] = guest;

    internal void GuestGone(string vmId, IGuest? guest)
    {
        if (guest is not null)
        {
            owned.TryRemove(KeyValuePair.Create(vmId, guest));
        }
    }

    /// <summary>Publishes what may be lost: progress and heartbeats.</summary>
    internal void Publish(object message) => _ = Task.Run(async () =>
    {
        try
        {
            await bus.PublishAsync(message, CancellationToken.None);
        }
        catch (Exception error)
        {
            Logger.PublishFailed(message.GetType().Name, error.Message);
        }
    });

    public async ValueTask DisposeAsync()
    {
        foreach (SourceOperation source in sources.Values)
        {
            await source.DisposeAsync();
        }

        foreach (TargetReplica replica in targets.Values)
        {
            await replica.DisposeAsync();
        }

        await Listener.DisposeAsync();
        foreach (IGuest guest in owned.Values)
        {
            await guest.DisposeAsync();
        }

        Journal.Dispose();
    }

    /// <summary>True when the guest that runs here came by this replica's commit.</summary>
    internal bool IsOwned(string vmId, Guid operationId, int replica) =>
        owned.TryGetValue(vmId, out IGuest? guest) && guest.Tag.OperationId == operationId && guest.Tag.Replica == replica;

    private static HostedGuest Describe(string vmId, IGuest guest) =>
        new(vmId, guest.State ?? GuestState.Paused, guest.State is null ? 0 : guest.Memory.PageCount * IGuestMemory.PageBytes, guest.Tag.OperationId, guest.Tag.Replica);
}

/// <summary>The latest replicas that ended on this host, so that a command that comes late does not start one again.</summary>
internal sealed class EndedReplicas
{
    private const int Remembered = 10_000;
    private readonly HashSet<(Guid, int)> known = [];
    private readonly Queue<(Guid, int)> order = new();

    public bool Contains(Guid operationId, int replica) => known.Contains((operationId, replica));

    public void Add(Guid operationId, int replica)
    {
        if (known.Add((operationId, replica)))
        {
            order.Enqueue((operationId, replica));
            if (order.Count > Remembered)
            {
                known.Remove(order.Dequeue());
            }
        }
    }
}
