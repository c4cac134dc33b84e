namespace SpecMesh.Simulator.Workloads;

/// <summary>One run of a workload.</summary>
/// <param name="Servers">Servers of the cluster.</param>
/// <param name="FailedShare">Share of them that is failed at every instant.</param>
/// <param name="Policy">How many replicas, and how they are run.</param>
/// <param name="Seed">Seed of every random number.</param>
/// <param name="Parameters">Everything else.</param>
public sealed record RunOptions(int Servers, double FailedShare, PolicyChoice Policy, ulong Seed, Parameters Parameters);

/// <summary>What a run measured, by the names that <see cref="Metrics"/> lists, and what it cost to simulate.</summary>
/// <param name="Values">Measured values.</param>
/// <param name="Events">Events that were popped, stale ones counted.</param>
/// <param name="TraceHash">Hash of all of them in their order.</param>
public sealed record RunResult(IReadOnlyDictionary<string, double> Values, long Events, ulong TraceHash);
