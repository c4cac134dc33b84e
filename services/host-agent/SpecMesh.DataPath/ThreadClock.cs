using System.Runtime.InteropServices;

namespace SpecMesh.DataPath;

/// <summary>Processor time of the calling thread, from clock_gettime(2).</summary>
internal static partial class ThreadClock
{
    /// <summary>CLOCK_THREAD_CPUTIME_ID in linux/time.h.</summary>
    private const int ThreadCpuTime = 3;

    /// <summary>Processor time that the calling thread has used; zero where the system is not Linux, which only agents of a host need to be.</summary>
    public static TimeSpan Read() =>
        OperatingSystem.IsLinux() && clock_gettime(ThreadCpuTime, out Timespec now) == 0
            ? new TimeSpan((now.Seconds * TimeSpan.TicksPerSecond) + (now.Nanoseconds / TimeSpan.NanosecondsPerTick))
            : TimeSpan.Zero;

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int clock_gettime(int clock, out Timespec time);

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Timespec
    {
        public readonly nint Seconds;
        public readonly nint Nanoseconds;
    }
}
