using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Experiments;

/// <summary>The evaluation's figures: what is drawn of which workload.</summary>
public static class Figures
{
    private const double Percent = 100;

    private static readonly IReadOnlyList<Figure> All =
    [
        new(Workload.Capacity, "success", "Capacity multiplexing: migrations that succeed", "successful, % of operations", Metrics.SuccessFraction, Percent),
        new(Workload.Capacity, "excess-network", "Capacity multiplexing: excess network", "bytes beyond the winners', % of theirs", Metrics.ExcessNetwork, Percent),
        new(Workload.Ci, "launch-delay", "CI launch: delay until a machine is up", "delay, s", Metrics.LaunchDelaySeconds, 1),
        new(Workload.Ci, "launch-delay-gain", "CI launch: delay that is saved", "saved, % of the naive delay", Metrics.LaunchDelayGain, Percent),
        new(Workload.Ci, "relative-attempts", "CI launch: attempts per machine", "attempts, relative to naive", Metrics.RelativeAttempts, 1),
        new(Workload.Upgrade, "hours", "Rolling upgrade: time for 1024 servers", "time, h", Metrics.UpgradeHours, 1),
        new(Workload.Upgrade, "time-gain", "Rolling upgrade: time that is saved", "saved, % of the naive time", Metrics.UpgradeTimeGain, Percent),
        new(Workload.Upgrade, "additional-attempts", "Rolling upgrade: additional attempts", "attempts beyond naive, % of its", Metrics.AdditionalAttempts, Percent),
    ];

    /// <summary>Writes the figures that these sweeps have results for.</summary>
    /// <param name="folder">Where they go.</param>
    /// <param name="sweeps">What was run.</param>
    /// <param name="rows">What came of it.</param>
    public static void Write(string folder, IEnumerable<Sweep> sweeps, IReadOnlyList<ResultRow> rows)
    {
        foreach (Sweep sweep in sweeps)
        {
            ILookup<string, ResultRow> byMetric = rows.Where(row => row.Label == sweep.Label).ToLookup(row => row.Metric);
            foreach (Figure figure in All.Where(figure => figure.Workload == sweep.Workload))
            {
                IReadOnlyList<ChartLine> lines = LinesOf(byMetric[figure.Metric], figure.Scale, row => row.Policy);
                Save(folder, $"{sweep.Label}-{figure.Name}", new Chart(figure.Title + Variant(sweep), "failed servers, %", figure.YLabel, lines));
            }

            // Cost against benefit of the least replication: the claim that a second replica pays.
            ResultRow[] second = [.. byMetric[Metrics.LaunchDelayGain].Concat(byMetric[Metrics.AdditionalAttempts]).Where(row => row.Policy == "sq2")];
            if (sweep.Workload == Workload.Ci && second.Length > 0)
            {
                IReadOnlyList<ChartLine> lines = LinesOf(second, Percent, row => row.Metric == Metrics.LaunchDelayGain ? "delay saved" : "attempts added");
                Save(folder, $"{sweep.Label}-cost-benefit-sq2", new Chart("CI launch: what a second replica costs and saves" + Variant(sweep), "failed servers, %", "% of the naive manager's", lines));
            }
        }
    }

    /// <summary>Writes one chart.</summary>
    public static void Save(string folder, string name, Chart chart) => File.WriteAllText(Path.Combine(folder, name + ".svg"), SvgChart.Draw(chart));

    private static string Variant(Sweep sweep) =>
        sweep.Workload == Workload.Ci && sweep.Parameters.BootSigma == 0 ? ", every boot as long" : "";

    private static List<ChartLine> LinesOf(IEnumerable<ResultRow> rows, double scale, Func<ResultRow, string> nameOf) =>
    [
        .. rows.GroupBy(nameOf).Select(line => new ChartLine(
            line.Key, [.. line.OrderBy(row => row.FailedShare).Select(row => new ChartPoint(row.FailedShare * Percent, row.Value.Mean * scale, row.Value.Ci95 * scale))])),
    ];

    private sealed record Figure(Workload Workload, string Name, string Title, string YLabel, string Metric, double Scale);
}
