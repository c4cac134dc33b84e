using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Model;

namespace SpecMesh.Simulator.Workloads;

/// <summary>One run of a workload.</summary>
/// <param name="Servers">Servers of the cluster.</param>
/// <param name="FailedShare">Share of them that is failed at every instant.</param>
/// <param name="Policy">How many replicas, and how they are run.</param>
/// <param name="Seed">Seed of every random number.</param>
/// <param name="Parameters">Everything else.</param>
public sealed record RunOptions(int Servers, double FailedShare, PolicyChoice Policy, ulong Seed, Parameters Parameters)
{
    /// <summary>When the run is broken off, whatever it has come to: for measurements of speed. Results that it has not come to are 0.</summary>
    public long EndNs { get; init; } = long.MaxValue;

    /// <summary>Looks at the model after every event, for example to check what must hold always.</summary>
    public Action<ModelState>? Watch { get; init; }
}

/// <summary>The parts of a model while it runs.</summary>
/// <param name="Queue">The events to come; its time is the time of the last one.</param>
/// <param name="Faults">Which servers are failed.</param>
/// <param name="Race">Operations and replicas.</param>
/// <param name="Cluster">Machines, network and migrations; null in a workload without them.</param>
public sealed record ModelState(EventQueue Queue, FaultInjector Faults, Race Race, Cluster? Cluster);

/// <summary>What a run measured, by the names that <see cref="Metrics"/> lists, and what it cost to simulate.</summary>
/// <param name="Values">Measured values.</param>
/// <param name="Events">Events that were popped, stale ones counted.</param>
/// <param name="TraceHash">Hash of all of them in their order.</param>
public sealed record RunResult(IReadOnlyDictionary<string, double> Values, long Events, ulong TraceHash);
