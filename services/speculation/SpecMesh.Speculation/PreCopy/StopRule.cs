using SpecMesh.Contracts;

namespace SpecMesh.Speculation.PreCopy;

/// <summary>What a replica does after a round.</summary>
public enum RoundVerdict
{
    /// <summary>Another round over what became dirty meanwhile.</summary>
    NextRound,

    /// <summary>Little enough is left: suspend the guest and send the rest.</summary>
    StopAndCopy,
}

/// <summary>When a round ends the pre-copy. The first replica that meets the rule is the candidate: a local decision of the source, with no round trip.</summary>
/// <param name="PauseBudget">How long sending the last pages may take.</param>
/// <param name="MaxRounds">After so many rounds the guest is suspended however much is left: it dirties faster than the network carries.</param>
public sealed record StopRule(TimeSpan PauseBudget, int MaxRounds)
{
    /// <summary>50 ms, near the median blackout of published fleets, and 30 rounds, as Xen's own limit of its earlier toolstack.</summary>
    public static StopRule Default { get; } = new(TimeSpan.FromMilliseconds(50), 30);

    /// <summary>Judges the round that has just ended.</summary>
    public (RoundVerdict Verdict, Reason Reason) Judge(ReplicaRoundCompleted round)
    {
        const double PageBytes = 4096;
        double remainingBytes = round.PendingPages * PageBytes;
        double remainingMs = remainingBytes == 0 ? 0 : round.AcknowledgedBytesPerSecond > 0 ? 1000 * remainingBytes / round.AcknowledgedBytesPerSecond : double.PositiveInfinity;
        if (remainingMs <= PauseBudget.TotalMilliseconds)
        {
            return (RoundVerdict.StopAndCopy, new Reason("within-pause-budget", "The remaining pages fit into the pause.", Math.Round(remainingMs, 3), PauseBudget.TotalMilliseconds));
        }

        return round.Round >= MaxRounds
            ? (RoundVerdict.StopAndCopy, new Reason("round-limit", "The guest dirties pages as fast as they are sent; it is stopped for the rest.", round.Round, MaxRounds))
            : (RoundVerdict.NextRound, new Reason("too-much-left", "The remaining pages do not fit into the pause.", double.IsFinite(remainingMs) ? Math.Round(remainingMs, 3) : null, PauseBudget.TotalMilliseconds));
    }
}
