using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Experiments;

/// <summary>One row of <c>results.csv</c>.</summary>
/// <param name="Label">The workload, or a variant of it.</param>
/// <param name="Policy">Name of the policy.</param>
/// <param name="FailedShare">Share of the servers that is failed.</param>
/// <param name="Metric">One of <see cref="Metrics"/>.</param>
/// <param name="Value">Mean over seeds, with its interval.</param>
public sealed record ResultRow(string Label, string Policy, double FailedShare, string Metric, Estimate Value);

/// <summary>Makes rows of runs: means of what each run measured, and comparisons with the naive manager of the same seed.</summary>
public static class Results
{
    /// <summary>All rows, in the order of the sweeps, their failed shares and policies.</summary>
    public static IReadOnlyList<ResultRow> Of(IReadOnlyList<FinishedRun> runs) =>
    [
        .. runs.GroupBy(run => run.Run.Sweep).SelectMany(sweep => OfSweep(sweep.Key, sweep.ToLookup(run => (run.Run.Options.Policy.Name, run.Run.Options.FailedShare)))),
    ];

    private static IEnumerable<ResultRow> OfSweep(Sweep sweep, ILookup<(string Policy, double Failed), FinishedRun> runs)
    {
        foreach (PolicyChoice policy in sweep.Policies)
        {
            foreach (double failed in sweep.FailedShares)
            {
                FinishedRun[] naive = [.. runs[(PolicyChoice.Naive.Name, failed)]];
                FinishedRun[] mine = [.. runs[(policy.Name, failed)]];
                foreach (string metric in mine[0].Result.Values.Keys)
                {
                    yield return Row(metric, mine.Select(run => run.Result.Values[metric]));
                }

                foreach (Comparison comparison in Comparison.All.Where(comparison => mine[0].Result.Values.ContainsKey(comparison.Of)))
                {
                    IEnumerable<double> paired = mine.Zip(naive, (a, b) => comparison.Compare(a.Result.Values[comparison.Of], b.Result.Values[comparison.Of]));
                    yield return Row(comparison.Metric, paired);
                }

                if (mine[0].Result.Values.ContainsKey(Metrics.LaunchDelaySeconds))
                {
                    yield return Row(Metrics.CostBenefit, mine.Zip(naive, CostBenefit));
                }

                ResultRow Row(string metric, IEnumerable<double> values) => new(sweep.Label, policy.Name, failed, metric, Statistics.Of([.. values]));
            }
        }
    }

    /// <summary>What a policy's attempts cost over what they save; 0 for the naive manager, which does neither.</summary>
    private static double CostBenefit(FinishedRun mine, FinishedRun naive)
    {
        double cost = (mine.Result.Values[Metrics.AttemptsPerVm] / naive.Result.Values[Metrics.AttemptsPerVm]) - 1;
        double benefit = 1 - (mine.Result.Values[Metrics.LaunchDelaySeconds] / naive.Result.Values[Metrics.LaunchDelaySeconds]);
        return benefit == 0 ? 0 : cost / benefit;
    }

    /// <summary>A measure against the naive manager's of the same seed.</summary>
    private sealed record Comparison(string Metric, string Of, Func<double, double, double> Compare)
    {
        public static IReadOnlyList<Comparison> All { get; } =
        [
            new(Metrics.LaunchDelayGain, Metrics.LaunchDelaySeconds, Gain),
            new(Metrics.UpgradeTimeGain, Metrics.UpgradeHours, Gain),
            new(Metrics.RelativeAttempts, Metrics.AttemptsPerVm, (mine, naive) => mine / naive),
            new(Metrics.AdditionalAttempts, Metrics.AttemptsPerVm, (mine, naive) => (mine / naive) - 1),
        ];

        private static double Gain(double mine, double naive) => (naive - mine) / naive;
    }
}
