using System.Diagnostics;

namespace SpecMesh.ControlPlane.Bench;

/// <summary>Everything that is counted, at one moment.</summary>
/// <param name="At">Timestamp.</param>
/// <param name="CpuSeconds">Processor seconds so far, by process; this one is <c>client</c>.</param>
/// <param name="Metrics">Counters by program.</param>
/// <param name="Store">Counters of the database.</param>
internal sealed record Snapshot(
    long At,
    IReadOnlyDictionary<string, double> CpuSeconds,
    IReadOnlyDictionary<string, ScrapedMetrics> Metrics,
    StoreCounts Store)
{
    public const string Client = "client";

    public static async Task<Snapshot> TakeAsync(Stand stand, StoreReader store)
    {
        Dictionary<string, double> cpu = stand.Pids.ToDictionary(pid => pid.Key, pid => CpuTimes.OfTree(pid.Value), StringComparer.Ordinal);
        cpu[Client] = Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds;
        long at = Stopwatch.GetTimestamp();
        Dictionary<string, ScrapedMetrics> metrics = new(StringComparer.Ordinal);
        foreach (string program in stand.Programs.Keys)
        {
            metrics[program] = await stand.ScrapeAsync(program);
        }

        return new Snapshot(at, cpu, metrics, await store.ReadAsync());
    }

    /// <summary>Processor seconds by process since an earlier snapshot.</summary>
    public IReadOnlyDictionary<string, double> CpuSince(Snapshot earlier) =>
        CpuSeconds.ToDictionary(pair => pair.Key, pair => pair.Value - earlier.CpuSeconds[pair.Key], StringComparer.Ordinal);

    /// <summary>Growth of a counter since an earlier snapshot, summed over all programs, by a label's value; what has not grown is left out.</summary>
    public IReadOnlyDictionary<string, double> GrowthSince(Snapshot earlier, string counter, string label)
    {
        SortedDictionary<string, double> growth = new(StringComparer.Ordinal);
        foreach ((string program, ScrapedMetrics now) in Metrics)
        {
            IReadOnlyDictionary<string, double> before = earlier.Metrics[program].By(counter, label);
            foreach ((string key, double value) in now.By(counter, label))
            {
                growth[key] = growth.GetValueOrDefault(key) + value - before.GetValueOrDefault(key);
            }
        }

        return growth.Where(pair => pair.Value > 0).ToDictionary(pair => pair.Key, pair => pair.Value, StringComparer.Ordinal);
    }
}
