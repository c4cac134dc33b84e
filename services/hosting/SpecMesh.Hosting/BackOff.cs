namespace SpecMesh.Hosting;

/// <summary>How long to wait before the next attempt. Jitter keeps several processes that failed together from coming back together.</summary>
/// <param name="random">Numbers from 0 to below 1 for the jitter.</param>
internal sealed class BackOff(Func<double> random)
{
    private const double LongestMs = 5_000;
    private const double LongestConflictMs = 100;

    /// <summary>After the <paramref name="failures"/>-th failure of something outside: from about 100 ms up to 5 s.</summary>
    public TimeSpan Exponential(int failures) => Jittered(Math.Min(LongestMs, 50 * Math.Pow(2, Math.Min(failures, 10))));

    /// <summary>After the <paramref name="conflicts"/>-th lost race: from a few milliseconds up to 100.</summary>
    public TimeSpan Conflict(int conflicts) => Jittered(Math.Min(LongestConflictMs, 2 * Math.Pow(2, Math.Min(conflicts, 10))));

    private TimeSpan Jittered(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds * (0.5 + (random() / 2)));
}
