using System.Diagnostics;

namespace SpecMesh.ControlPlane.Bench.Raw;

/// <summary>What the same counts of commits, rows and messages take without SpecMesh.</summary>
/// <param name="Operations">Operations whose counts were reproduced.</param>
/// <param name="Seconds">Time.</param>
/// <param name="CpuSeconds">Processor seconds by process.</param>
internal sealed record RawCost(int Operations, double Seconds, IReadOnlyDictionary<string, double> CpuSeconds)
{
    public double CpuMsPerOperation => 1000 * CpuSeconds.Values.Sum() / Operations;

    public double MsPerOperation => 1000 * Seconds / Operations;

    /// <summary>Runs the work and measures the servers and this process meanwhile.</summary>
    public static async Task<RawCost> MeasureAsync(Stand stand, int operations, IReadOnlyDictionary<string, double> idleCpuPerSecond, Func<Task> work)
    {
        string[] servers = ["rabbitmq", "postgres"];
        Dictionary<string, double> before = Read();
        long started = Stopwatch.GetTimestamp();
        await work();
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        Dictionary<string, double> used = Read().ToDictionary(
            pair => pair.Key,
            // Services and agents are still there, and their beats and looks into the outbox are no part of the raw work.
            pair => Math.Max(0, pair.Value - before[pair.Key] - (servers.Contains(pair.Key) ? seconds * idleCpuPerSecond[pair.Key] : 0)),
            StringComparer.Ordinal);
        return new RawCost(operations, seconds, used);

        Dictionary<string, double> Read() => new(servers.Select(server => KeyValuePair.Create(server, CpuTimes.OfTree(stand.Pids[server]))), StringComparer.Ordinal)
        {
            [Snapshot.Client] = Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds,
        };
    }
}

/// <summary>How many there are of something for a number of operations, spread evenly.</summary>
internal static class Spread
{
    /// <summary>How many of <paramref name="total"/> fall to the n-th of <paramref name="steps"/>.</summary>
    public static int At(int n, int total, int steps) => (int)(((n + 1L) * total / steps) - ((long)n * total / steps));

    public static int Of(double perOperation, int operations) => (int)Math.Round(perOperation * operations);
}
