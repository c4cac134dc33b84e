namespace SpecMesh.Simulator.Engine;

/// <summary>Time of the simulation: whole nanoseconds, so that order never depends on rounding; a long holds 292 years.</summary>
public static class SimTime
{
    /// <summary>Nanoseconds of a second.</summary>
    public const long Second = 1_000_000_000;

    /// <summary>Nanoseconds of a duration in seconds, to the nearest.</summary>
    public static long FromSeconds(double seconds) => (long)((seconds * Second) + (seconds < 0 ? -0.5 : 0.5));

    /// <summary>Seconds of a duration in nanoseconds.</summary>
    public static double ToSeconds(long durationNs) => durationNs / (double)Second;
}
