using System.Diagnostics;
using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Experiments;

/// <summary>What a cluster of one size costs to simulate.</summary>
/// <param name="Servers">Servers, each with twenty machines.</param>
/// <param name="Events">Events that were carried out.</param>
/// <param name="NanosecondsPerEvent">Processor time of one, the building of the cluster not counted.</param>
/// <param name="BytesPerServer">Memory of the whole model per server, machines and pending events included.</param>
public sealed record ScalePoint(int Servers, long Events, double NanosecondsPerEvent, double BytesPerServer);

/// <summary>Rolling upgrades of clusters from a thousand servers to a million: the workload that uses all parts of the model, faults, machines, memory, migration streams and links.</summary>
public static class Scale
{
    private const double FailedShare = 0.1;

    /// <summary>An upgrade with two replicas makes about six events per simulated second and 1024 servers.</summary>
    private const double SecondsPerEventAndServer = 1024 / 6.0;

    /// <summary>Sizes that are measured.</summary>
    public static IReadOnlyList<int> Sizes { get; } = [1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20];

    /// <summary>Measures one size: about as many events for every size, in one thread.</summary>
    /// <param name="servers">Servers of the cluster.</param>
    /// <param name="events">Events to carry out, about; a small cluster's upgrade is repeated with other seeds until there are as many.</param>
    public static ScalePoint Measure(int servers, long events)
    {
        long carriedOut = 0;
        double seconds = 0, bytes = 0;
        for (ulong seed = 1; carriedOut < events; seed++)
        {
            long before = GC.GetTotalMemory(forceFullCollection: true);
            TimeSpan processorTime = default;
            long seen = 0;
            // The first event tells that the cluster is built; then so much simulated time as gives the events that are wanted.
            RunOptions options = new(servers, FailedShare, PolicyChoice.Read("sq2")!, seed, Parameters.Default)
            {
                EndNs = SimTime.FromSeconds(events * SecondsPerEventAndServer / servers),
                Watch = _ =>
                {
                    if (seen++ == 0)
                    {
                        bytes = GC.GetTotalMemory(forceFullCollection: true) - before;
                        processorTime = Process.GetCurrentProcess().TotalProcessorTime;
                    }
                },
            };
            RunResult result = UpgradeWorkload.Run(options);
            seconds += (Process.GetCurrentProcess().TotalProcessorTime - processorTime).TotalSeconds;
            carriedOut += result.Events;
        }

        return new(servers, carriedOut, seconds * 1e9 / carriedOut, bytes / servers);
    }
}
