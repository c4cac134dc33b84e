using SpecMesh.Simulator.Experiments;
using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Tests.Workloads;

public sealed class ReproducibilityTests
{
    private static readonly Parameters Short = Parameters.Default with { LaunchSeconds = 1800, CapacitySeconds = 1800, WarmUpSeconds = 600 };

    [Theory]
    [InlineData(Workload.Ci)]
    [InlineData(Workload.Capacity)]
    [InlineData(Workload.Upgrade)]
    public void the_same_seed_gives_the_same_events_and_another_seed_others(Workload workload)
    {
        RunOptions options = new(256, 0.2, PolicyChoice.Read("adaptive")!, 5, Short);
        RunResult first = WorkloadRun.Run(workload, options), second = WorkloadRun.Run(workload, options);
        Assert.Equal(first.TraceHash, second.TraceHash);
        Assert.Equal(first.Events, second.Events);
        Assert.Equal(first.Values, second.Values);
        Assert.NotEqual(first.TraceHash, WorkloadRun.Run(workload, options with { Seed = 6 }).TraceHash);
    }

    [Fact]
    public void results_do_not_depend_on_how_many_threads_there_are()
    {
        Sweep sweep = new("ci", Workload.Ci, 128, [0, 0.3], [PolicyChoice.Naive, PolicyChoice.Read("sq2")!], [1, 2, 3], Short);
        IReadOnlyList<FinishedRun> one = SweepRunner.Run([sweep], 1, (_, _) => { });
        IReadOnlyList<FinishedRun> four = SweepRunner.Run([sweep], 4, (_, _) => { });
        Assert.Equal(one.Select(run => run.Result.TraceHash), four.Select(run => run.Result.TraceHash));
    }

    [Fact]
    public void all_policies_meet_the_same_faults()
    {
        List<List<(long, int)>> failures = [];
        foreach (string policy in (string[])["naive", "sq1", "sq5"])
        {
            List<(long, int)> seen = [];
            HashSet<int> failed = [];
            RunOptions options = new(64, 0.2, PolicyChoice.Read(policy)!, 7, Short);
            WorkloadRun.Run(Workload.Capacity, options with
            {
                Watch = state =>
                {
                    foreach (int server in Enumerable.Range(0, 64).Where(server => state.Faults.IsFailed(server) != failed.Contains(server)).ToList())
                    {
                        seen.Add((state.Queue.NowNs, server));
                        _ = failed.Remove(server) || failed.Add(server);
                    }
                },
            });
            failures.Add(seen);
        }

        Assert.True(failures[0].Count > 20);
        Assert.Equal(failures[0], failures[1]);
        Assert.Equal(failures[0], failures[2]);
    }
}
