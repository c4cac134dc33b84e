using SpecMesh.ControlPlane.Bench.Agents;
using SpecMesh.ControlPlane.Bench.Load;
using SpecMesh.ControlPlane.Bench.Raw;

namespace SpecMesh.ControlPlane.Bench.Report;

/// <summary>Percentiles in milliseconds.</summary>
internal sealed record Percentiles(int Samples, double P50Ms, double P99Ms)
{
    public static Percentiles Of(IEnumerable<double> milliseconds)
    {
        double[] sorted = [.. milliseconds.Order()];
        return sorted.Length == 0 ? new Percentiles(0, double.NaN, double.NaN) : new Percentiles(sorted.Length, At(0.50), At(0.99));

        double At(double share) => Math.Round(sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))], 2);
    }

    public static Percentiles Of(IEnumerable<TimeSpan> times) => Of(times.Select(time => time.TotalMilliseconds));
}

/// <summary>One migration after another on the idle system.</summary>
/// <param name="Pause">From the guest's suspension at the source to its start at the target.</param>
/// <param name="Ownership">What ownership adds to it: journal, vote, append, start, word back to the source.</param>
/// <param name="Append">The append alone, as the target sees it.</param>
/// <param name="Completed">From the request to the outcome.</param>
/// <param name="Settled">From the request to the end of the clean-up.</param>
internal sealed record PauseResult(Percentiles Pause, Percentiles Ownership, Percentiles Append, Percentiles Completed, Percentiles Settled)
{
    public static PauseResult Of(PauseSamples samples, IReadOnlyList<Timing> operations) => new(
        Percentiles.Of(samples.Pause),
        Percentiles.Of(samples.Ownership),
        Percentiles.Of(samples.Append),
        Percentiles.Of(operations.Select(operation => operation.Completed)),
        Percentiles.Of(operations.Select(operation => operation.Settled)));
}

/// <summary>Operations under load, and the raw work beside them.</summary>
/// <param name="Sq">Replicas of each operation.</param>
/// <param name="Operations">Operations that settled in the window.</param>
/// <param name="Failed">Those of them that did not succeed.</param>
/// <param name="Seconds">The window.</param>
/// <param name="OperationsPerSecond">Rate.</param>
/// <param name="Completed">From the request to the outcome.</param>
/// <param name="Settled">From the request to the end of the clean-up.</param>
/// <param name="Ownership">What ownership adds to the pause under this load.</param>
/// <param name="CpuMs">Processor milliseconds per operation, by process.</param>
/// <param name="Cost">Messages, commits and rows per operation.</param>
/// <param name="RawStore">The same commits and rows on PostgreSQL alone.</param>
/// <param name="RawBroker">The same messages on RabbitMQ alone.</param>
/// <param name="RawBoth">Both at once: what the ratios compare with.</param>
internal sealed record SqResult(
    int Sq,
    int Operations,
    int Failed,
    double Seconds,
    double OperationsPerSecond,
    Percentiles Completed,
    Percentiles Settled,
    Percentiles Ownership,
    IReadOnlyDictionary<string, double> CpuMs,
    OperationCost Cost,
    RawCost RawStore,
    RawCost RawBroker,
    RawCost RawBoth)
{
    public double CpuMsPerOperation => CpuMs.Values.Sum();

    /// <summary>Processor time against raw.</summary>
    public double CpuRatio => CpuMsPerOperation / RawBoth.CpuMsPerOperation;

    /// <summary>Time per operation against raw, with as many under way.</summary>
    public double TimeRatio => 1000 / OperationsPerSecond / RawBoth.MsPerOperation;
}

/// <summary>One run.</summary>
/// <param name="Cores">Processors that the run could use.</param>
/// <param name="LoadBefore">Load average of the last minute before the run: above 0.5, other work took part and absolute figures mean little.</param>
/// <param name="Durability">The database's own words.</param>
/// <param name="Hosts">Hosts.</param>
/// <param name="Concurrency">Operations under way at a time.</param>
/// <param name="IdleCpuPerSecond">Processor seconds per second while nothing was asked for: beats, and looks into the outbox.</param>
/// <param name="Alone">One migration after another.</param>
/// <param name="Loads">By number of replicas.</param>
internal sealed record BenchResult(
    int Cores,
    double LoadBefore,
    string Durability,
    int Hosts,
    int Concurrency,
    IReadOnlyDictionary<string, double> IdleCpuPerSecond,
    PauseResult Alone,
    IReadOnlyList<SqResult> Loads);
