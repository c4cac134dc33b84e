namespace SpecMesh.Speculation.Costs;

/// <summary>How far a replica is, at one instant.</summary>
/// <param name="ElapsedSeconds">Seconds since the replica's start, queueing not counted.</param>
/// <param name="BytesSent">Bytes of its migration stream.</param>
/// <param name="CpuSeconds">Processor time at the source.</param>
/// <param name="RemainingBytes">Memory that is still to be sent to it; null where that is not known, and nothing is judged by it.</param>
/// <param name="AcknowledgedBytesPerSecond">Rate at which its target acknowledges, as a moving average over about 5 s; null where that is not known.</param>
public readonly record struct ReplicaStanding(double ElapsedSeconds, long BytesSent, double CpuSeconds, long? RemainingBytes = null, double? AcknowledgedBytesPerSecond = null);

/// <summary>
/// One live replica as its judge knows it: how far it is, and what the judge remembers of it. A value: the judge changes it in place, whoever keeps it stores it as it is.
/// </summary>
public record struct Sibling
{
    /// <summary>A replica that nothing is known of yet.</summary>
    /// <param name="replica">Its number.</param>
    /// <param name="memoryBytes">Memory that it holds on its target; 0: not known, and nothing is judged by it.</param>
    public Sibling(int replica, long memoryBytes)
    {
        Replica = replica;
        MemoryBytes = memoryBytes;
    }

    /// <summary>Number of the replica.</summary>
    public int Replica { get; }

    /// <summary>Memory that it holds on its target, in bytes.</summary>
    public long MemoryBytes { get; }

    /// <summary>How far it is. Set it before each judgement.</summary>
    public ReplicaStanding Now { get; set; }

    /// <summary>True from its vote on: it may have committed, and no policy touches it any more.</summary>
    public bool IsVoted { get; set; }

    /// <summary>Memory on the target times how long, in GiB·s.</summary>
    public readonly double MemoryGibSeconds => MemoryBytes / (1024.0 * 1024 * 1024) * Now.ElapsedSeconds;

    /// <summary>Windows in a row in which it was expected to end far later than the best sibling.</summary>
    public int LateWindows { get; private set; }

    /// <summary>How many times the best sibling's time it was expected to take when that was noted last.</summary>
    public double LateRatio { get; private set; }

    /// <summary>Since when its rate has been far below its siblings', by its own age in seconds; null while it is not.</summary>
    public double? SlowSinceSeconds { get; private set; }

    /// <summary>Rounds in a row whose end left nearly as much as the one before.</summary>
    public int StalledRounds { get; private set; }

    /// <summary>What the last round left, in bytes; null before the first.</summary>
    public long? RemainingAfterRoundBytes { get; private set; }

    /// <summary>When its windows were counted last, by its own age in seconds.</summary>
    internal double WindowCountedAtSeconds { get; private set; }

    /// <summary>A round has ended: notes whether it left less than the one before.</summary>
    /// <param name="remainingBytes">What is still to be sent after it.</param>
    /// <param name="options">How much less counts.</param>
    public void EndRound(long remainingBytes, ProgressOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        bool isStalled = RemainingAfterRoundBytes is { } before && remainingBytes > before * (1 - options.ConvergenceShare);
        StalledRounds = isStalled ? StalledRounds + 1 : 0;
        RemainingAfterRoundBytes = remainingBytes;
    }

    /// <summary>Seconds until its memory has been sent while the guest dirties more; infinite when it is dirtied as fast as it is sent; null when that is not known.</summary>
    /// <param name="dirtyBytesPerSecond">Rate at which the guest dirties memory that this replica needs.</param>
    /// <param name="pauseBudgetSeconds">What can be sent in this time needs no further round: the guest stands still for it.</param>
    public readonly double? EtaSeconds(double dirtyBytesPerSecond, double pauseBudgetSeconds)
    {
        if (Now is not { RemainingBytes: { } remaining, AcknowledgedBytesPerSecond: { } rate })
        {
            return null;
        }

        if (remaining <= 0 || (rate > 0 && remaining / rate <= pauseBudgetSeconds))
        {
            return rate > 0 ? remaining / rate : 0;
        }

        return rate > dirtyBytesPerSecond ? remaining / (rate - dirtyBytesPerSecond) : double.PositiveInfinity;
    }

    internal void CountWindow(bool isLate, double ratio)
    {
        LateRatio = ratio;
        LateWindows = isLate ? LateWindows + 1 : 0;
        WindowCountedAtSeconds = Now.ElapsedSeconds;
    }

    internal void NoteSlow(bool isSlow) => SlowSinceSeconds = isSlow ? SlowSinceSeconds ?? Now.ElapsedSeconds : null;
}
