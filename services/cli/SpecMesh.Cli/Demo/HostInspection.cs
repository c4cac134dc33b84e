using System.Globalization;
using SpecMesh.Hypervisors;
using SpecMesh.Hypervisors.Process;

namespace SpecMesh.Cli.Demo;

/// <summary>Looks for guests on all hosts from outside of their agents, by the hypervisors' own state and by the list of processes.</summary>
public sealed class HostInspection(IReadOnlyDictionary<string, string> stateOf)
{
    /// <summary>The machine's guests on all hosts, whatever their state; every machine's when none is named.</summary>
    public async Task<IReadOnlyList<(string HostId, IGuest Guest)>> FindAsync(string? vmId, CancellationToken cancellationToken)
    {
        List<(string, IGuest)> found = [];
        foreach ((string hostId, string state) in stateOf)
        {
            ProcessHypervisor hypervisor = new(new ProcessHypervisorOptions(Path.Combine(state, "hypervisor")));
            foreach (IGuest guest in await hypervisor.FindGuestsAsync(cancellationToken))
            {
                if ((vmId is null || guest.Tag.VmId == vmId) && guest.State is not null)
                {
                    found.Add((hostId, guest));
                }
                else
                {
                    await guest.DisposeAsync();
                }
            }
        }

        return found;
    }

    /// <summary>Ends the machine wherever it is: the demonstration is over. Every machine when none is named.</summary>
    public async Task DestroyAllAsync(string? vmId, CancellationToken cancellationToken)
    {
        foreach ((_, IGuest guest) in await FindAsync(vmId, cancellationToken))
        {
            await guest.DestroyAsync(cancellationToken);
            await guest.DisposeAsync();
        }
    }

    /// <summary>Processes of the machine's guests, found by their command lines, whatever the hosts' state says. Guests of every machine of a demonstration begin with its name.</summary>
    public static IReadOnlyList<string> Processes(string vmId)
    {
        List<string> left = [];
        foreach (string process in Directory.EnumerateDirectories("/proc").Where(path => path.AsSpan("/proc/".Length).ContainsAnyExceptInRange('0', '9') is false))
        {
            string commandLine = ReadCommandLine(process);
            if (commandLine.Contains($" guest {vmId}-", StringComparison.Ordinal))
            {
                left.Add(string.Create(CultureInfo.InvariantCulture, $"process {process.AsSpan("/proc/".Length)}: {commandLine}"));
            }
        }

        return left;
    }

    private static string ReadCommandLine(string process)
    {
        try
        {
            return File.ReadAllText(Path.Combine(process, "cmdline")).Replace('\0', ' ');
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // It ended meanwhile, or belongs to another user: then it is none of ours.
            return "";
        }
    }
}
