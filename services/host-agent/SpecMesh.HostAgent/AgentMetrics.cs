using System.Diagnostics.Metrics;

namespace SpecMesh.HostAgent;

/// <summary>What an operator watches of an agent.</summary>
internal static class AgentMetrics
{
    private static readonly Meter Meter = new("SpecMesh.HostAgent");
    private static readonly Histogram<double> Ownership = Meter.CreateHistogram<double>(
        "specmesh.agent.ownership", "ms", "What ownership adds to a pause: from the source's decision to vote (journal, vote, append, start) to the target's word that the guest runs.");

    public static void OwnershipMoved(TimeSpan took) => Ownership.Record(took.TotalMilliseconds);
}
