using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace SpecMesh.Cli.Up;

/// <summary>One process, told apart from a later one with the same id.</summary>
/// <param name="Name">What the operator calls it.</param>
/// <param name="Pid">Process id.</param>
/// <param name="StartTicks">Start time in the kernel's clock ticks since boot (field 22 of <c>/proc/PID/stat</c>, proc(5)).</param>
/// <param name="StopSignal">Signal that ends it in good order.</param>
public sealed record KnownProcess(string Name, int Pid, long StartTicks, string StopSignal);

/// <summary>The kernel's process table, as <c>/proc</c> shows it.</summary>
public static class ProcessTable
{
    /// <summary>Start time of a process in clock ticks since boot; null when it has gone or is a zombie.</summary>
    public static long? StartTicksOf(int pid)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{pid.ToString(CultureInfo.InvariantCulture)}/stat");
            // The second field is the name in parentheses and may itself hold blanks and parentheses.
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields[0] is "Z" or "X" ? null : long.Parse(fields[19], CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return null; // It has gone.
        }
    }

    /// <summary>True while that very process runs.</summary>
    public static bool IsRunning(KnownProcess process) => StartTicksOf(process.Pid) == process.StartTicks;

    /// <summary>Processes, other than this one, that were started with a variable in their environment. Processes of other users are seen by root only.</summary>
    public static IReadOnlyList<KnownProcess> WithVariable(string name, string value)
    {
        byte[] wanted = Encoding.UTF8.GetBytes($"{name}={value}");
        List<KnownProcess> found = [];
        foreach (string directory in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(directory), NumberStyles.None, CultureInfo.InvariantCulture, out int pid)
                && pid != Environment.ProcessId
                && HasVariable(directory, wanted)
                && StartTicksOf(pid) is { } ticks)
            {
                found.Add(new KnownProcess(NameOf(directory), pid, ticks, "TERM"));
            }
        }

        return found;
    }

    /// <summary>Sends a signal to one process. A process that has gone needs none.</summary>
    public static void Signal(int pid, string signal) => Kill(signal, pid.ToString(CultureInfo.InvariantCulture));

    /// <summary>Sends a signal to every process of a group.</summary>
    public static void SignalGroup(int groupId, string signal) => Kill(signal, "-" + groupId.ToString(CultureInfo.InvariantCulture));

    /// <summary>
    /// Ends processes: their stop signal first, KILL for those that still run after <paramref name="bound"/>.
    /// </summary>
    /// <returns>Those that ran when this was called.</returns>
    public static async Task<IReadOnlyList<KnownProcess>> EndAsync(IEnumerable<KnownProcess> processes, TimeSpan bound)
    {
        List<KnownProcess> running = [.. processes.DistinctBy(process => process.Pid).Where(IsRunning)];
        running.ForEach(process => Signal(process.Pid, process.StopSignal));
        if (!await AllGoneAsync(running, bound))
        {
            running.FindAll(IsRunning).ForEach(process => Signal(process.Pid, "KILL"));
            await AllGoneAsync(running, bound);
        }

        return running;
    }

    private static async Task<bool> AllGoneAsync(List<KnownProcess> processes, TimeSpan bound)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (processes.Exists(IsRunning))
        {
            if (watch.Elapsed > bound)
            {
                return false;
            }

            await Task.Delay(50);
        }

        return true;
    }

    private static bool HasVariable(string directory, byte[] wanted)
    {
        try
        {
            ReadOnlySpan<byte> environment = File.ReadAllBytes(directory + "/environ");
            foreach (Range variable in environment.Split((byte)0))
            {
                if (environment[variable].SequenceEqual(wanted))
                {
                    return true;
                }
            }

            return false;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false; // It has gone, or belongs to somebody else, and then it is not ours to end.
        }
    }

    private static string NameOf(string directory)
    {
        try
        {
            return File.ReadAllText(directory + "/comm").Trim();
        }
        catch (IOException)
        {
            return "a process";
        }
    }

    // The shell's own kill: a minimal system has no kill program.
    private static void Kill(string signal, string target)
    {
        ProcessStartInfo info = new("/bin/sh") { RedirectStandardError = true };
        foreach (string argument in (string[])["-c", "kill -s \"$1\" -- \"$2\"", "sh", signal, target])
        {
            info.ArgumentList.Add(argument);
        }

        using Process kill = Process.Start(info) ?? throw new InvalidOperationException("no shell could be started to send a signal");
        kill.StandardError.ReadToEnd();
        kill.WaitForExit();
    }
}
