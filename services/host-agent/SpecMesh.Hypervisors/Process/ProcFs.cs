using System.Globalization;

namespace SpecMesh.Hypervisors.Process;

/// <summary>What <c>/proc</c> says about processes. Source of the formats: proc(5).</summary>
internal static class ProcFs
{
    /// <summary>Identifies the boot: process ids and start times mean nothing after another one.</summary>
    public static string BootId() => File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    /// <summary>Bytes that can be allocated without pushing others out.</summary>
    public static long AvailableBytes()
    {
        foreach (string line in File.ReadLines("/proc/meminfo"))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words is ["MemAvailable:", var kibibytes, "kB"])
            {
                return long.Parse(kibibytes, CultureInfo.InvariantCulture) * 1024;
            }
        }

        throw new HypervisorException("/proc/meminfo has no line MemAvailable.");
    }

    /// <summary>True when something is swapped to.</summary>
    public static bool HasSwap() => File.ReadLines("/proc/swaps").Skip(1).Any();

    /// <summary>A process; null when there is none with this id. One that has ended and was not reaped yet still has its entry.</summary>
    public static ProcessStatus? Read(int pid) => ReadStatus($"/proc/{pid}/stat");

    /// <summary>True when no thread of the process can execute: all are stopped, or have ended.</summary>
    public static bool IsStopped(int pid)
    {
        try
        {
            foreach (string task in Directory.EnumerateDirectories($"/proc/{pid}/task"))
            {
                if (ReadStatus(task + "/stat") is { State: not ('T' or 't' or 'Z' or 'X') })
                {
                    return false;
                }
            }

            return true;
        }
        catch (DirectoryNotFoundException)
        {
            return true;
        }
    }

    private static ProcessStatus? ReadStatus(string path)
    {
        string text;
        try
        {
            text = File.ReadAllText(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (IOException e) when ((e.HResult & 0xFFFF) == Native.Libc.Esrch)
        {
            // It ended between open and read.
            return null;
        }

        // The name comes in parentheses and may itself hold spaces and parentheses; the state is the first word after it.
        string[] words = text[(text.LastIndexOf(')') + 2)..].Split(' ');
        return new ProcessStatus(
            words[0][0],
            int.Parse(words[1], CultureInfo.InvariantCulture),
            ulong.Parse(words[19], CultureInfo.InvariantCulture));
    }
}

/// <summary>A process or thread.</summary>
/// <param name="State">One letter: R, S, D, T (stopped), Z (ended, not reaped), X.</param>
/// <param name="ParentPid">Its parent.</param>
/// <param name="StartTime">Ticks between boot and its start: with the id it names one process.</param>
internal sealed record ProcessStatus(char State, int ParentPid, ulong StartTime)
{
    public bool HasEnded => State is 'Z' or 'X';
}
