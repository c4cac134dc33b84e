namespace SpecMesh.Simulator.Bench;

/// <summary>Processor time of this process, as its peers measure theirs.</summary>
internal static class CpuTime
{
    /// <summary>Nanoseconds that one of the things that <paramref name="segment"/> does takes; it returns how many it did.</summary>
    public static double NsEach(Func<long> segment)
    {
        TimeSpan started = Environment.CpuUsage.TotalTime;
        long done = segment();
        return (Environment.CpuUsage.TotalTime - started).TotalNanoseconds / done;
    }
}
