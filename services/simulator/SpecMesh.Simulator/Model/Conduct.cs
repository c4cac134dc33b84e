using SpecMesh.Simulator.Engine;
using SpecMesh.Speculation.Replication;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Simulator.Model;

/// <summary>How a policy runs its operations.</summary>
/// <param name="Kind">The manager.</param>
/// <param name="Retry">Back-off of the naive manager.</param>
/// <param name="HedgeSeconds">Delay of each further replica of a hedged start.</param>
/// <param name="SourceFailures">Whether a failed source fails its operations.</param>
public sealed record Conduct(ManagerKind Kind, NaiveRetry Retry, double HedgeSeconds = 0, bool SourceFailures = false)
{
    /// <summary>Beyond every invocation, and far from the end of a <see cref="long"/>.</summary>
    private const double LongestPauseSeconds = 1e9;

    /// <summary>Pause before the naive manager's next attempt; null when it makes no more.</summary>
    public long? PauseNs(int attempts) => Retry.PauseSeconds(attempts) is { } seconds ? SimTime.FromSeconds(Math.Min(seconds, LongestPauseSeconds)) : null;

    /// <summary>When the next replica of a hedged start is due.</summary>
    public long HedgeNs(in Operation operation) => SimTime.FromSeconds(HedgedStart.NextAtSeconds(SimTime.ToSeconds(operation.StartNs), operation.Started, HedgeSeconds));

    /// <summary>Whether the next replica of a hedged start begins: its time has come, or no other is left.</summary>
    public bool IsHedgeDue(in Operation operation, long nowNs) => Kind == ManagerKind.Hedged
        && HedgedStart.IsDue(SimTime.ToSeconds(nowNs), SimTime.ToSeconds(operation.StartNs), operation.Started, operation.Live, operation.Planned, HedgeSeconds);
}
