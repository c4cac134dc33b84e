using System.Globalization;

namespace SpecMesh.ControlPlane.Bench;

/// <summary>Processor seconds of process trees, as <c>/proc</c> counts them (proc(5)).</summary>
internal static class CpuTimes
{
    private const double TicksPerSecond = 100;

    /// <summary>
    /// Seconds that a process and everything below it have used so far. Descendants that have ended are in their parents' sums once these have waited for them, so that
    /// a PostgreSQL backend counts while it lives and after.
    /// </summary>
    public static double OfTree(int root)
    {
        ILookup<int, (int Pid, double Seconds)> children = Directory.EnumerateDirectories("/proc")
            .Select(directory => int.TryParse(Path.GetFileName(directory), NumberStyles.None, CultureInfo.InvariantCulture, out int pid) ? Read(pid) : null)
            .OfType<(int Pid, int Parent, double Seconds)>()
            .ToLookup(process => process.Parent, process => (process.Pid, process.Seconds));
        return (Read(root)?.Seconds ?? 0) + Below(root);

        double Below(int parent) => children[parent].Sum(child => child.Seconds + Below(child.Pid));
    }

    /// <summary>Null when the process has gone.</summary>
    private static (int Pid, int Parent, double Seconds)? Read(int pid)
    {
        try
        {
            string stat = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/stat"));
            // The second field is the name in parentheses and may itself hold blanks and parentheses. After it: 1 is the parent, 11 to 14 are utime, stime, cutime and cstime.
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return (pid, int.Parse(fields[1], CultureInfo.InvariantCulture), fields[11..15].Sum(ticks => double.Parse(ticks, CultureInfo.InvariantCulture)) / TicksPerSecond);
        }
        catch (IOException)
        {
            return null; // It has gone.
        }
    }
}
