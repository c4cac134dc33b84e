using System.Diagnostics.CodeAnalysis;
using SpecMesh.Protocol.Tests.Checks;
using SpecMesh.Protocol.Tests.Engine;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Protocol.Tests.Hosts;
using SpecMesh.Protocol.Tests.Network;
using SpecMesh.Protocol.Tests.Running;
using SpecMesh.Protocol.Tests.Services;
using SpecMesh.Protocol.Tests.Store;
using SpecMesh.Speculation;
using SpecMesh.Speculation.PreCopy;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests;

/// <summary>
/// A whole SpecMesh cluster in one thread: hosts with agents and guests, the services, the store, the bus, the network and a client. One seed is one schedule. The deciders, the
/// state machines, the sagas, handlers, views and dispatchers and the dirty log are production code; time, network, store, journal and hypervisor are simulated.
/// </summary>
internal sealed class Cluster
{
    /// <summary>Memory of every machine, as placement counts it.</summary>
    public const long MemoryBytes = 1 << 20;

    private readonly Dictionary<string, int> writes = new(StringComparer.Ordinal);
    private readonly double pieceMs;
    private int messageIds;

    public Cluster(Plan plan)
    {
        Plan = plan;
        Prng random = new(plan.Seed);
        Prng shape = random.Split();
        Faults = new FaultSource(Scheduler, random.Split(), plan.Omitted, plan.Focus) { Observed = Struck };
        GuestRandom = random.Split();
        Mutator = plan.Mutator;
        Trace = plan.Traced ? new Trace(Scheduler) : null;
        Truth = new Truth(this);
        int hosts = Math.Min(4 + shape.NextInt(3), plan.MostHosts);
        int policies = 1 + shape.NextInt(2), placements = shape.NextInt(4) == 0 ? 2 : 1;
        Links = new Links(Scheduler, Faults, random.Split(), hosts + policies + placements + 4);
        PageCount = 6 + shape.NextInt(12);
        pieceMs = shape.NextInt(4) == 0 ? 200 : 30;
        AcknowledgedBytesPerSecond = 20.0 * 4096 * (1 + shape.NextInt(4));
        Limits = SourceLimits.Default with { StopRule = new StopRule(StopRule.Default.PauseBudget, 3 + shape.NextInt(5)) };
        Client = new Life(Scheduler);
        Changes = new ChangeNews(Scheduler);
        Store = new SimulatedStore { Committed = Committed, IgnoresVersions = Mutator.StoreIgnoresVersions, TakesBackEarly = Mutator.StoreTakesBackEarly };
        Broker = new Broker(this);
        Hosts = [.. Enumerable.Range(1, hosts).Select(i => new SimulatedHost(this, NewNode($"h{i}"), $"h{i}", $"rack-{i % 3}", MemoryBytes * (2 + shape.NextInt(3))))];
        Services =
        [
            .. Enumerable.Range(1, policies).Select(i => new ServiceProcess(this, Composition.ReplicationPolicy, NewNode($"policy-{i}"))),
            .. Enumerable.Range(1, placements).Select(i => new ServiceProcess(this, Composition.Placement, NewNode($"placement-{i}"))),
            new ServiceProcess(this, Composition.FailureMonitor, NewNode("monitor")),
        ];
        (StoreNode, BrokerNode, ClientNode) = (NewNode("store"), NewNode("broker"), NewNode("client"));
        Calls = new Calls(this, [.. Services.Where(service => service.Service == Composition.ReplicationPolicy.Service)]);
        Workload = new Workload(this, random.Split());
        Troubles = new Troubles(this, random.Split());
        Operator = new Operator(this, random.Split());
        foreach (SimulatedHost host in Hosts)
        {
            Broker.Attach(host.Queue, host);
        }

        foreach (ServiceProcess service in Services)
        {
            foreach (string queue in service.Queues)
            {
                Broker.Attach(queue, service);
            }
        }
    }

    public Plan Plan { get; }

    public Scheduler Scheduler { get; } = new();

    public FaultSource Faults { get; }

    public Mutator Mutator { get; }

    public Trace? Trace { get; }

    public Truth Truth { get; }

    public Coverage Coverage { get; } = new();

    public Links Links { get; }

    public SimulatedStore Store { get; }

    public ChangeNews Changes { get; }

    public Broker Broker { get; }

    public Calls Calls { get; }

    public Workload Workload { get; }

    public Troubles Troubles { get; }

    public Operator Operator { get; }

    public IReadOnlyList<SimulatedHost> Hosts { get; }

    public IReadOnlyList<ServiceProcess> Services { get; }

    public Node StoreNode { get; }

    public Node BrokerNode { get; }

    public Node ClientNode { get; }

    /// <summary>The callers, who never die.</summary>
    public Life Client { get; }

    public Prng GuestRandom { get; }

    public SourceLimits Limits { get; }

    public int PageCount { get; }

    public double AcknowledgedBytesPerSecond { get; }

    /// <summary>True while nobody reaches the store.</summary>
    public bool StoreIsAway { get; set; }

    /// <summary>What was violated first; null while nothing is.</summary>
    public InvariantException? Violation { get; private set; }

    /// <summary>How many nodes there are so far.</summary>
    private int Nodes { get; set; }

    public SimulatedHost HostOf(string hostId) => Hosts.First(host => host.Id == hostId);

    /// <summary>How much a machine writes whenever somebody looks.</summary>
    public int WritesOf(string vmId) => writes.GetValueOrDefault(vmId, 2);

    public void SetWrites(string vmId, int most) => writes[vmId] = most;

    /// <summary>How long a piece of a round is on its way.</summary>
    public TimeSpan PieceTime()
    {
        double usualMs = Links.Random.Uniform(1, pieceMs);
        return TimeSpan.FromMilliseconds(Faults.Strikes(Fault.RoundSlow, 0.2) ? Faults.RandomOf(Fault.RoundSlow).Uniform(200, 8000) : usualMs);
    }

    public Guid NextMessageId() => new(++messageIds, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2);

    /// <summary>Reports a violation, and ends the step that led to it.</summary>
    [DoesNotReturn]
    public void Fail(string rule, string what)
    {
        InvariantException violation = new(rule, $"{what} (at {Scheduler.Now.TotalSeconds:F4} s)");
        Violation ??= violation;
        throw violation;
    }

    /// <summary>A service's process dies and is started again some time later.</summary>
    public void CrashService(ServiceProcess service)
    {
        service.Crash();
        Scheduler.After(TimeSpan.FromMilliseconds(Links.Random.Uniform(50, 4000)), service.Start);
    }

    /// <summary>A host's agent dies and is started again some time later.</summary>
    public void CrashAgent(SimulatedHost host)
    {
        host.Agent?.Crash();
        Scheduler.After(TimeSpan.FromMilliseconds(Links.Random.Uniform(50, 4000)), host.StartAgent);
    }

    private void Committed(IReadOnlyList<EventStore.StoredEvent> events)
    {
        Truth.Committed(events);
        Changes.Tell(TimeSpan.FromMilliseconds(Links.Random.Uniform(0.2, 4)));
    }

    private void Struck(Fault fault)
    {
        Trace?.Note($"--- {fault} (fault {Faults.Happened.Count - 1})");
        Coverage.Saw(fault);
        foreach (SimulatedHost host in Hosts)
        {
            if (host.Agent is { } agent)
            {
                foreach (SourceSide source in agent.Sources.Values)
                {
                    Coverage.Saw(fault, source.Phase);
                }

                foreach (TargetSide target in agent.Targets.Values)
                {
                    Coverage.Saw(fault, target.Phase);
                }
            }
        }
    }

    private Node NewNode(string name) => new(Nodes++, name);
}
