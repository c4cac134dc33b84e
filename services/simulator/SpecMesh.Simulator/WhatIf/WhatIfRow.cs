using SpecMesh.Simulator.Experiments;
using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.WhatIf;

/// <summary>One policy's results over all seeds.</summary>
/// <param name="Policy">Its name, or <c>recorded</c>.</param>
/// <param name="Values">Metrics; a delay is missing where nothing succeeded.</param>
public sealed record WhatIfRow(string Policy, IReadOnlyDictionary<string, Estimate> Values)
{
    /// <summary>Operations with a winner, of all.</summary>
    public const string Success = Metrics.SuccessFraction;

    /// <summary>Replicas that were started per operation, retries counted.</summary>
    public const string Replicas = Metrics.ReplicasPerOperation;

    /// <summary>Mean time from request to winner, of operations that had one.</summary>
    public const string Delay = "delay_s";

    /// <summary>Share of the ends that were recorded of the same operation on the same host.</summary>
    public const string SameOperation = "rests_on_same_operation";

    /// <summary>Share of the ends that were recorded of another operation on the same host, near in time.</summary>
    public const string NearInTime = "rests_on_near_in_time";

    /// <summary>Share of the ends that were drawn from estimates.</summary>
    public const string Estimated = "rests_on_estimate";

    /// <summary>What really happened.</summary>
    public static WhatIfRow Recorded(Trace trace)
    {
        RecordedOperation[] won = [.. trace.Operations.Where(operation => operation.Winner is not null)];
        int replicas = trace.Operations.Sum(operation => operation.Replicas.Count);
        return Of(trace, "recorded", [new(won.Length, replicas, won.Sum(operation => operation.Winner!.EndSeconds - operation.RequestedSeconds), [replicas, 0, 0])]);
    }

    /// <summary>Means over seeds.</summary>
    public static WhatIfRow Of(Trace trace, string policy, IReadOnlyList<ReplayTotals> totals)
    {
        double operations = trace.Operations.Count;
        Dictionary<string, Estimate> values = new()
        {
            [Success] = Mean(total => total.Successes / operations),
            [Replicas] = Mean(total => total.Replicas / operations),
            [SameOperation] = Basis(0),
            [NearInTime] = Basis(1),
            [Estimated] = Basis(2),
        };
        ReplayTotals[] successful = [.. totals.Where(total => total.Successes > 0)];
        if (successful.Length > 0)
        {
            values[Delay] = Statistics.Of([.. successful.Select(total => total.DelaySeconds / total.Successes)]);
        }

        return new(policy, values);

        Estimate Mean(Func<ReplayTotals, double> of) => Statistics.Of([.. totals.Select(of)]);
        Estimate Basis(int basis) => Mean(total => total.Bases[basis] / (double)total.Replicas);
    }
}
