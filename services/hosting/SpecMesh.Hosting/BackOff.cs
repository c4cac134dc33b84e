namespace SpecMesh.Hosting;

/// <summary>How long to wait before the next attempt. Jitter keeps several processes that failed together from coming back together.</summary>
internal static class BackOff
{
    private const double LongestMs = 5_000;
    private const double LongestConflictMs = 100;

    /// <summary>After the <paramref name="failures"/>-th failure of something outside: from about 100 ms up to 5 s.</summary>
    public static TimeSpan Exponential(int failures) => Jittered(Math.Min(LongestMs, 50 * Math.Pow(2, Math.Min(failures, 10))));

    /// <summary>After the <paramref name="conflicts"/>-th lost race: from a few milliseconds up to 100.</summary>
    public static TimeSpan Conflict(int conflicts) => Jittered(Math.Min(LongestConflictMs, 2 * Math.Pow(2, Math.Min(conflicts, 10))));

    private static TimeSpan Jittered(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds * (0.5 + (Random.Shared.NextDouble() / 2)));
}
