namespace SpecMesh.Simulator.Engine;

/// <summary>Time of the simulation: whole nanoseconds, so that order never depends on rounding; a long holds 292 years.</summary>
public static class SimTime
{
    /// <summary>Nanoseconds of a second.</summary>
    public const long Second = 1_000_000_000;

    /// <summary>Nanoseconds of a duration in seconds, to the nearest.</summary>
    /// <param name="seconds">Not negative, and below 292 years: no limit is looked for here, because this is done for every event.</param>
    public static long FromSeconds(double seconds) => double.ConvertToIntegerNative<long>((seconds * Second) + 0.5);

    /// <summary>Seconds of a duration in nanoseconds.</summary>
    public static double ToSeconds(long durationNs) => durationNs / (double)Second;
}
