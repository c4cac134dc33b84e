using SpecMesh.Simulator.Engine;
using SpecMesh.Speculation.Health;

namespace SpecMesh.Simulator.Model;

/// <summary>Drives the parametric fault injector by events: when a failure ends, another healthy server fails at once, so that exactly as many are failed at every instant.</summary>
public sealed class FaultInjector
{
    private const uint Purpose = 1;
    private const uint ServerPart = 0, LengthPart = 1, PointPart = 2;

    private readonly EventQueue queue;
    private readonly RandomStream random;
    private readonly ParametricFaults faults;
    private uint failures;

    /// <summary>Begins in equilibrium, so that a run needs no time to settle.</summary>
    /// <param name="queue">Receives an event of kind <see cref="EventKind.FaultEnd"/> per failure.</param>
    /// <param name="model">How many servers are failed, and for how long.</param>
    /// <param name="servers">Servers of the cluster.</param>
    /// <param name="seed">Seed of the run.</param>
    public FaultInjector(EventQueue queue, FaultModel model, int servers, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(queue);
        ArgumentNullException.ThrowIfNull(model);
        this.queue = queue;
        random = new RandomStream(seed, Purpose);
        faults = new ParametricFaults(model, servers);
        for (int i = model.FailedOf(servers); i > 0; i--)
        {
            uint failure = failures++;
            Plan(faults.Begin(random.Uniform(failure, ServerPart), random.Uniform(failure, LengthPart), random.Uniform(failure, PointPart)));
        }
    }

    /// <summary>How many servers are failed.</summary>
    public int FailedCount => faults.FailedCount;

    /// <summary>Failures that ended; as many began after the start.</summary>
    public long Changes => failures - faults.FailedCount;

    /// <summary>Whether a server is failed now.</summary>
    public bool IsFailed(int server) => faults.IsFailed(server);

    /// <summary>One failure ends and another begins.</summary>
    /// <param name="ended">The server that heals: the event's entity.</param>
    /// <returns>The server that fails now.</returns>
    public int Replace(int ended)
    {
        uint failure = failures++;
        InjectedFault next = faults.Replace(ended, random.Uniform(failure, ServerPart), random.Uniform(failure, LengthPart));
        Plan(next);
        return next.Server;
    }

    private void Plan(InjectedFault fault) => queue.Push(queue.NowNs + SimTime.FromSeconds(fault.Seconds), EventKind.FaultEnd, (uint)fault.Server);
}
