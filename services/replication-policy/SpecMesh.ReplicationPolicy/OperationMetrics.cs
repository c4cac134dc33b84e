using System.Diagnostics.Metrics;
using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.ReplicationPolicy;

/// <summary>What an operator watches: operations by outcome, replicas by outcome, pauses.</summary>
internal static class OperationMetrics
{
    private static readonly Meter Meter = new("SpecMesh.ReplicationPolicy");
    private static readonly Counter<long> Operations = Meter.CreateCounter<long>("specmesh.operations", description: "Operations that ended, by outcome.");
    private static readonly Counter<long> Refusals = Meter.CreateCounter<long>("specmesh.refusals", description: "Requests that were refused, by reason.");
    private static readonly Counter<long> Replicas = Meter.CreateCounter<long>("specmesh.replicas", description: "Replicas that ended, by outcome.");
    private static readonly Histogram<double> Downtime = Meter.CreateHistogram<double>("specmesh.downtime", "ms", "How long guests stood still in one operation.");

    public static void Record(SpecOpDecision decision)
    {
        foreach (object @event in decision.Events)
        {
            switch (@event)
            {
                case SpecOpCompleted completed: Operations.Add(1, KeyValuePair.Create<string, object?>("outcome", completed.Outcome.ToString())); break;
                case SpecOpRefused refused: Refusals.Add(1, KeyValuePair.Create<string, object?>("reason", refused.Reason.Code)); break;
                case ReplicaCommitted: Ended(ReplicaOutcome.Won); break;
                case ReplicaAborted: Ended(ReplicaOutcome.Aborted); break;
                case ReplicaFailed: Ended(ReplicaOutcome.Failed); break;
                case ReplicaCancelled: Ended(ReplicaOutcome.Cancelled); break;
                case SourceReleased { Destroyed: true } released: Downtime.Record(released.DowntimeMs); break;
            }
        }
    }

    private static void Ended(ReplicaOutcome outcome) => Replicas.Add(1, KeyValuePair.Create<string, object?>("outcome", outcome.ToString()));
}
