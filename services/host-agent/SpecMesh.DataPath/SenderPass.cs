namespace SpecMesh.DataPath;

/// <summary>What one pass over taken pages has cost so far, and what is needed to account for it at its end.</summary>
internal sealed class SenderPass(TimeProvider time, int round, bool final, DirtyRate dirtyBefore, TimeSpan cpuBefore)
{
    private readonly long startedAt = time.GetTimestamp();

    public int Round { get; } = round;

    public long Pages { get; set; }

    public long ZeroPages { get; set; }

    public long Bytes { get; set; }

    public RoundResult End(DirtyRate dirtyAfter, long pendingAfter, double acknowledgedBytesPerSecond, TimeSpan cpuAfter)
    {
        TimeSpan duration = time.GetElapsedTime(startedAt);
        long dirtied = dirtyAfter.TotalPages - dirtyBefore.TotalPages;
        double dirtyPerSecond = dirtied > 0 && duration > TimeSpan.Zero ? dirtied / duration.TotalSeconds : dirtyAfter.PagesPerSecond;
        bool logFailed = dirtyAfter.FailedHarvests > dirtyBefore.FailedHarvests;
        return new RoundResult(Round, final, Pages, ZeroPages, Bytes, duration, dirtyPerSecond, pendingAfter, acknowledgedBytesPerSecond, cpuAfter - cpuBefore, logFailed);
    }
}
