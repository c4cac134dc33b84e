using SpecMesh.Simulator.Experiments;
using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Tests.Workloads;

/// <summary>A sweep that several tests read.</summary>
internal sealed class Measured(Workload workload, double[] failed, string[] policies, int seeds, Parameters? parameters = null)
{
    private readonly Lazy<Dictionary<(string Policy, double Failed, string Metric), Estimate>> rows = new(() =>
    {
        Sweep sweep = new("tests", workload, 1024, failed, [.. policies.Select(name => PolicyChoice.Read(name)!)], [.. Enumerable.Range(1, seeds).Select(seed => (ulong)seed)], parameters ?? Parameters.Default);
        return Results.Of(SweepRunner.Run([sweep], 2, (_, _) => { })).ToDictionary(row => (row.Policy, row.FailedShare, row.Metric), row => row.Value);
    });

    /// <summary>The mean of a metric.</summary>
    public double Mean(string policy, double failedShare, string metric) => Of(policy, failedShare, metric).Mean;

    /// <summary>A metric with its interval.</summary>
    public Estimate Of(string policy, double failedShare, string metric) => rows.Value[(policy, failedShare, metric)];
}
