using System.Collections.Frozen;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using SpecMesh.EventStore;
using SpecMesh.FailureMonitor;
using SpecMesh.Hosting;
using SpecMesh.Placement;
using SpecMesh.Protocol.Tests.Checks;
using SpecMesh.Protocol.Tests.Engine;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Protocol.Tests.Network;
using SpecMesh.Protocol.Tests.Store;

namespace SpecMesh.Protocol.Tests.Services;

/// <summary>
/// One instance of one service: the real handlers, sagas, views and dispatcher on simulated time, store and bus. It can die between any two of its steps and is started again
/// with nothing but what the store and the bus kept.
/// </summary>
internal sealed class ServiceProcess : IConsumer
{
    /// <summary>How often agents beat and silences are looked at here; the production values are an option as well.</summary>
    public const double HeartbeatSeconds = 5;

    private static readonly MeshMetrics Metrics = new(new Meters());
    private static readonly FaultPoints NoFaultPoints = new(new ConfigurationBuilder().Build(), new MeshRegistry(), NullLogger<FaultPoints>.Instance);
    private static readonly IOptions<SpecMeshOptions> MeshOptions = Options.Create(new SpecMeshOptions { Store = "simulated" });
    private static readonly IOptions<FailureMonitorOptions> MonitorOptions = Options.Create(new FailureMonitorOptions { HeartbeatSeconds = HeartbeatSeconds, SuspectAfterSeconds = 3 * HeartbeatSeconds });
    private static readonly Func<BackgroundService, CancellationToken, Task> Execute = typeof(BackgroundService)
        .GetMethod("ExecuteAsync", System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Instance)!
        .CreateDelegate<Func<BackgroundService, CancellationToken, Task>>();

    private readonly Cluster cluster;
    private readonly Composition composition;
    private Life life;
    private ProcessServices? services;

    public ServiceProcess(Cluster cluster, Composition composition, Node node)
    {
        this.cluster = cluster;
        this.composition = composition;
        Node = node;
        life = new Life(cluster.Scheduler);
        life.End();
    }

    public Node Node { get; }

    public string Service => composition.Service;

    public IEnumerable<string> Queues => composition.Queues.Keys;

    public bool Takes => !life.IsOver;

    public HashSet<BusMessage> Unacknowledged { get; } = [];

    public Life Life => life;

    /// <summary>A service of the process.</summary>
    public T Get<T>()
        where T : notnull => services!.GetRequiredService<T>();

    /// <summary>Starts it; nothing happens when it runs.</summary>
    public void Start()
    {
        if (!life.IsOver)
        {
            return;
        }

        cluster.Trace?.Note($"{Node.Name} starts");
        life = new Life(cluster.Scheduler) { Crash = () => cluster.CrashService(this) };
        NodeClock clock = new(cluster.Scheduler, Node, life);
        StoreState state = new();
        state.SetOpen();
        BusGate gate = new(() => !cluster.Links.IsCut(Node, cluster.BrokerNode) && !cluster.Links.IsCut(cluster.BrokerNode, Node), clock);
        MessageBus bus = new(TransmitAsync, gate, clock);
        BackOff backOff = new(cluster.Links.Random.NextDouble);
        SimulatedConnection store = new(cluster, Node, life, clock);
        services = new ProcessServices(composition, new Dictionary<Type, object>
        {
            [typeof(TimeProvider)] = clock,
            [typeof(IEventStore)] = store,
            [typeof(EventTypes)] = Composition.Types,
            [typeof(StoreState)] = state,
            [typeof(BusGate)] = gate,
            [typeof(MessageBus)] = bus,
            [typeof(BackOff)] = backOff,
            [typeof(MeshMetrics)] = Metrics,
            [typeof(FaultPoints)] = NoFaultPoints,
            [typeof(IOptions<SpecMeshOptions>)] = MeshOptions,
            [typeof(IOptions<FailureMonitorOptions>)] = MonitorOptions,
            [typeof(IOptions<PlacementOptions>)] = Options.Create(cluster.Plan.Placement),
            [typeof(ILoggerFactory)] = NullLoggerFactory.Instance,
        });
        OutboxDispatcher dispatcher = new(
            Service, gate, bus, state, Composition.Types, clock, MeshOptions, backOff, Metrics, NoFaultPoints, NullLogger<OutboxDispatcher>.Instance, store) { LongestWait = TimeSpan.FromSeconds(5) };
        cluster.Scheduler.Post(life, _ => Run(dispatcher), null);
        foreach (ServiceDescriptor worker in composition.Workers)
        {
            cluster.Scheduler.Post(life, _ => Run((BackgroundService)services.Make(worker)), null);
        }

        foreach (string queue in Queues)
        {
            cluster.Broker.Flush(queue);
        }
    }

    /// <summary>It dies: whatever it was doing is not done any further.</summary>
    public void Crash()
    {
        if (life.IsOver)
        {
            return;
        }

        cluster.Trace?.Note($"{Node.Name} dies");
        life.End();
        cluster.Store.Unlock(services!.GetRequiredService<IEventStore>());
        cluster.Broker.Abandon(this);
    }

    /// <summary>The broker delivers a message.</summary>
    public void Handle(BusMessage message) => cluster.Scheduler.Post(life, _ => Guard(HandleAsync(message)), null);

    /// <summary>Runs an asynchronous piece of the process; what it throws nobody has foreseen.</summary>
    public void Guard(Task task)
    {
        if (!task.IsCompletedSuccessfully)
        {
            _ = ObserveAsync(task);
        }
    }

    private void Run(BackgroundService worker) => Guard(Execute(worker, CancellationToken.None));

    private async Task ObserveAsync(Task task)
    {
        try
        {
            await task;
        }
        catch (Exception error) when (error is not InvariantException)
        {
            cluster.Fail("R7", $"{Node.Name} met an error that nobody handles: {error}");
        }
    }

    private async Task HandleAsync(BusMessage message)
    {
        FrozenDictionary<Type, Delivery> deliveries = composition.Queues[message.Queue];
        cluster.Trace?.Note($"{Node.Name} <- {message.Content}");
        await deliveries[message.Content.GetType()].HandleAsync(message.Content, message.Id, services!, CancellationToken.None);
        if (cluster.Faults.Strikes(Fault.CrashBeforeAck))
        {
            await life.DieAsync();
        }

        cluster.Broker.Acknowledge(this, message);
    }

    /// <summary>The way of one message to the broker.</summary>
    private async Task TransmitAsync(object message, string? queue, Guid messageId, CancellationToken cancellationToken)
    {
        if (cluster.Faults.Strikes(Fault.CrashBeforePublish))
        {
            await life.DieAsync();
        }

        await life.Pause(cluster.Links.Delay());
        if (cluster.Links.IsCut(Node, cluster.BrokerNode) || cluster.Faults.Strikes(Fault.MessageLost, 0.3))
        {
            throw new BrokerAwayException();
        }

        cluster.Broker.Accept(message, queue, messageId);
        if (cluster.Faults.Strikes(Fault.CrashAfterPublish))
        {
            await life.DieAsync();
        }

        if (cluster.Links.IsCut(cluster.BrokerNode, Node) || cluster.Faults.Strikes(Fault.ConfirmLost, 0.3))
        {
            await life.Pause(cluster.Links.Delay());
            throw new BrokerAwayException();
        }
    }

    private sealed class Meters : IMeterFactory
    {
        public Meter Create(MeterOptions options) => new(options);

        public void Dispose()
        {
            // The meters are used until the process ends.
        }
    }
}
