using System.Globalization;
using SpecMesh.Hypervisors;
using SpecMesh.Hypervisors.Process;

namespace SpecMesh.Cli.Demo;

/// <summary>Looks for guests on all hosts from outside of their agents, by the hypervisors' own state and by the list of processes.</summary>
internal sealed class HostInspection(IReadOnlyDictionary<string, string> stateOf)
{
    /// <summary>The machine's guests on all hosts, whatever their state.</summary>
    public async Task<IReadOnlyList<(string HostId, IGuest Guest)>> FindAsync(string vmId, CancellationToken cancellationToken)
    {
        List<(string, IGuest)> found = [];
        foreach ((string hostId, string state) in stateOf)
        {
            ProcessHypervisor hypervisor = new(new ProcessHypervisorOptions(Path.Combine(state, "hypervisor")));
            foreach (IGuest guest in await hypervisor.FindGuestsAsync(cancellationToken))
            {
                if (guest.Tag.VmId == vmId && guest.State is not null)
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

    /// <summary>Ends the machine wherever it is: the demonstration is over.</summary>
    public async Task DestroyAllAsync(string vmId)
    {
        foreach ((_, IGuest guest) in await FindAsync(vmId, CancellationToken.None))
        {
            await guest.DestroyAsync(CancellationToken.None);
            await guest.DisposeAsync();
        }
    }

    /// <summary>Processes that work in one of the hosts' directories although no guest should be left there.</summary>
    public IReadOnlyList<string> Processes()
    {
        List<string> left = [];
        foreach (string process in Directory.EnumerateDirectories("/proc").Where(path => path.AsSpan(6).ContainsAnyExceptInRange('0', '9') is false))
        {
            string commandLine = ReadCommandLine(process);
            if (commandLine.Contains("SpecMesh.Hypervisors", StringComparison.Ordinal) && stateOf.Values.Any(state => commandLine.Contains(state, StringComparison.Ordinal)))
            {
                left.Add(string.Create(CultureInfo.InvariantCulture, $"process {process.AsSpan(6)}: {commandLine}"));
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
