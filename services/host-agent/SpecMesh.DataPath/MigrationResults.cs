namespace SpecMesh.DataPath;

/// <summary>One pass over a replica's pending pages, sent and acknowledged.</summary>
/// <param name="Round">Number of the round, from 1.</param>
/// <param name="Final">True for the pass over the last pages, with the guest suspended.</param>
/// <param name="Pages">Pages sent, zero pages included.</param>
/// <param name="ZeroPages">How many of them were zero and travelled as a mark.</param>
/// <param name="Bytes">Bytes written to the migration stream.</param>
/// <param name="Duration">From the harvest to the acknowledgement.</param>
/// <param name="DirtyPagesPerSecond">Pages that the guest dirtied per second since the round began; the last known rate when no harvest fell into it.</param>
/// <param name="PendingAfter">Pages that this replica still needs after the round.</param>
/// <param name="AcknowledgedBytesPerSecond">Moving average of the rate at which the target acknowledges.</param>
/// <param name="Cpu">Processor time of the sending thread in this round.</param>
/// <param name="LogFailed">True when a harvest failed meanwhile, so that everything became pending.</param>
public sealed record RoundResult(
    int Round,
    bool Final,
    long Pages,
    long ZeroPages,
    long Bytes,
    TimeSpan Duration,
    double DirtyPagesPerSecond,
    long PendingAfter,
    double AcknowledgedBytesPerSecond,
    TimeSpan Cpu,
    bool LogFailed);

/// <summary>The target holds the whole image of an incarnation, verified by both ends.</summary>
/// <param name="Incarnation">The incarnation that may be voted for.</param>
/// <param name="Digest">Digest of the image, 16 hexadecimal digits.</param>
/// <param name="LastRound">The pass over the last pages.</param>
public sealed record ReadyResult(int Incarnation, string Digest, RoundResult LastRound);

/// <summary>What the target says about a vote. Best effort: the event stream of the machine decides, not this.</summary>
/// <param name="Resumed">True when the target became the owner and runs the guest.</param>
/// <param name="Reason">Why it did not; null when it did.</param>
public sealed record VoteOutcome(bool Resumed, string? Reason);

/// <summary>How far a replica is, at one instant.</summary>
/// <param name="Round">Round in progress, or the last one, from 1; 0 before the first.</param>
/// <param name="PagesSent">Pages sent since the beginning.</param>
/// <param name="BytesSent">Bytes sent since the beginning.</param>
/// <param name="AcknowledgedBytes">Bytes of page records that the target has applied.</param>
/// <param name="PendingPages">Pages still to be sent, as far as the last harvest knows.</param>
/// <param name="AcknowledgedBytesPerSecond">Moving average of the rate at which the target acknowledges.</param>
public sealed record SenderProgress(int Round, long PagesSent, long BytesSent, long AcknowledgedBytes, long PendingPages, double AcknowledgedBytesPerSecond);
