using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Bench;

/// <summary>
/// Rolling upgrades of 1024 servers with three replicas each: every part of the model at work, without limits of the cost and with them. No server is slow, so that both carry out the same
/// migrations, and what differs is the judging, once per operation and simulated second.
/// </summary>
internal static class WholeModel
{
    private const double FailedShare = 0.1;
    private const long SimulatedSeconds = 30_000;

    private static readonly (string Name, Parameters Parameters)[] Variants =
    [
        ("no limits", Parameters.Default),
        ("timeout, bytes, progress", Parameters.Default with { TimeoutSeconds = 600, MaxBytesFactor = 2.5, MinProgress = 0.05 }),
    ];

    /// <summary>Both variants in turns; of each the best segment.</summary>
    public static IReadOnlyList<WholeModelFigure> Measure(int rounds)
    {
        WholeModelFigure?[] best = new WholeModelFigure?[Variants.Length];
        // The first segments are not counted: they compile.
        for (int segment = 0; segment < (rounds * 2) + 1; segment++)
        {
            for (int i = 0; i < Variants.Length; i++)
            {
                WholeModelFigure figure = Segment(Variants[i].Name, Variants[i].Parameters);
                best[i] = segment > 0 && (best[i] is not { } before || figure.NsPerEvent < before.NsPerEvent) ? figure : best[i];
            }
        }

        return [.. best.Select(figure => figure!)];
    }

    private static WholeModelFigure Segment(string name, Parameters parameters)
    {
        TimeSpan began = default;
        long events = 0, allocated = 0, eventsBefore = 0, allocatedBefore = 0, operations = 0;
        RunOptions options = new(1024, FailedShare, PolicyChoice.Read("sq3")!, 1, parameters) { EndNs = SimulatedSeconds * SimTime.Second, Watch = Look };
        UpgradeWorkload.Run(options);
        double ns = (Environment.CpuUsage.TotalTime - began).TotalNanoseconds;
        return new WholeModelFigure(name, 1e3 * events / ns, ns / events, ns / operations, (double)events / operations, (double)(allocated - allocatedBefore) / (events - eventsBefore));

        // The first event tells that the cluster is built. Allocations are counted from half of the time on, when all arrays have the size that they need.
        void Look(ModelState state)
        {
            began = events++ == 0 ? Environment.CpuUsage.TotalTime : began;
            operations = state.Race.Opened;
            if (state.Queue.NowNs < SimulatedSeconds * SimTime.Second / 2)
            {
                (eventsBefore, allocatedBefore) = (events, GC.GetAllocatedBytesForCurrentThread());
            }

            allocated = (events & 1023) == 0 ? GC.GetAllocatedBytesForCurrentThread() : allocated;
        }
    }
}
