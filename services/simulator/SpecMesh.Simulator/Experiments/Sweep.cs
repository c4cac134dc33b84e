using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Experiments;

/// <summary>A set of runs: every policy at every failed share, over the same seeds.</summary>
/// <param name="Label">What results are filed under: the workload, or a variant of it.</param>
/// <param name="Workload">Which workload.</param>
/// <param name="Servers">Servers of the cluster.</param>
/// <param name="FailedShares">Shares of servers that are failed.</param>
/// <param name="Policies">Policies to report. The naive one is run in any case: gains are against it.</param>
/// <param name="Seeds">Seeds of the runs.</param>
/// <param name="Parameters">Everything else.</param>
public sealed record Sweep(
    string Label, Workload Workload, int Servers, IReadOnlyList<double> FailedShares, IReadOnlyList<PolicyChoice> Policies, IReadOnlyList<ulong> Seeds, Parameters Parameters)
{
    /// <summary>Every run that is needed.</summary>
    public IEnumerable<SweepRun> Runs() =>
        from policy in Policies.Prepend(PolicyChoice.Naive).DistinctBy(policy => policy.Name)
        from failed in FailedShares
        from seed in Seeds
        select new SweepRun(this, new RunOptions(Servers, failed, policy, seed, Parameters));
}

/// <summary>One run of a sweep.</summary>
public sealed record SweepRun(Sweep Sweep, RunOptions Options);

/// <summary>A run and what came of it.</summary>
public sealed record FinishedRun(SweepRun Run, RunResult Result);

/// <summary>Runs sweeps, one run per core at a time.</summary>
public static class SweepRunner
{
    /// <summary>Runs them all. The order of the results is the order of the runs, whatever the threads do.</summary>
    /// <param name="sweeps">What to run.</param>
    /// <param name="threads">Runs at the same time.</param>
    /// <param name="progress">Told after each run: how many are done, and of how many.</param>
    public static IReadOnlyList<FinishedRun> Run(IEnumerable<Sweep> sweeps, int threads, Action<int, int> progress)
    {
        SweepRun[] runs = [.. sweeps.SelectMany(sweep => sweep.Runs())];
        FinishedRun[] finished = new FinishedRun[runs.Length];
        int done = 0;
        // Neighbours in the list take about as long as each other, so threads take single runs and none is left with a slow half.
        Parallel.ForEach(
            System.Collections.Concurrent.Partitioner.Create(Enumerable.Range(0, runs.Length), System.Collections.Concurrent.EnumerablePartitionerOptions.NoBuffering),
            new ParallelOptions { MaxDegreeOfParallelism = threads },
            i =>
            {
                finished[i] = new FinishedRun(runs[i], WorkloadRun.Run(runs[i].Sweep.Workload, runs[i].Options));
                progress(Interlocked.Increment(ref done), runs.Length);
            });
        return finished;
    }
}
