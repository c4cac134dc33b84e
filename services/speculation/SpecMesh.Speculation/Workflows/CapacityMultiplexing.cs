using SpecMesh.Speculation.Placement;

namespace SpecMesh.Speculation.Workflows;

/// <summary>When servers are relieved.</summary>
/// <param name="PeriodSeconds">How often the algorithm runs; 300 s, as DRS (facts: simulation, section 2). An operation that has not ended by the next run has failed.</param>
/// <param name="OverloadShare">Above this share of its cores a server is overloaded, and is relieved down to it; .75 (same).</param>
/// <param name="UnderloadShare">Below this share a server may receive machines; .55 (same). The gap keeps a machine from going to and fro.</param>
public sealed record CapacityOptions(double PeriodSeconds = 300, double OverloadShare = 0.75, double UnderloadShare = 0.55)
{
    /// <summary>The values of the facts.</summary>
    public static CapacityOptions Default { get; } = new();
}

/// <summary>A machine and what it asks for.</summary>
/// <param name="DemandCores">Processor time that it asks for now, in cores.</param>
/// <param name="MemoryBytes">Its memory: what moving it costs.</param>
public readonly record struct MachineLoad(double DemandCores, long MemoryBytes);

/// <summary>A server as a possible target.</summary>
/// <param name="LoadShare">Demand of its machines over its cores.</param>
/// <param name="FreeBytes">Memory that can be promised.</param>
public readonly record struct ServerRoom(double LoadShare, long FreeBytes);

/// <summary>Capacity multiplexing: what an overloaded server sheds, and where to. Pure; nothing is allocated.</summary>
public static class CapacityMultiplexing
{
    /// <summary>True when the server is to be relieved.</summary>
    public static bool IsOverloaded(CapacityOptions options, double loadShare) => loadShare > options.OverloadShare;

    /// <summary>Chooses the machines that leave a server: those with the most demand per byte first, because they relieve it at the least network cost, until it is no longer overloaded.</summary>
    /// <param name="options">The thresholds.</param>
    /// <param name="cores">Cores of the server.</param>
    /// <param name="machines">Machines on it that may be moved.</param>
    /// <param name="otherDemandCores">Demand on it that cannot be moved, for example of machines that are on their way already.</param>
    /// <param name="shed">Where the indexes of the chosen machines go, in order; as long as <paramref name="machines"/>.</param>
    /// <returns>How many there are.</returns>
    public static int Shed(CapacityOptions options, double cores, ReadOnlySpan<MachineLoad> machines, double otherDemandCores, Span<int> shed)
    {
        double demand = otherDemandCores;
        foreach (MachineLoad machine in machines)
        {
            demand += machine.DemandCores;
        }

        int count = 0;
        while (demand > options.OverloadShare * cores && Densest(machines, shed[..count]) is >= 0 and var next)
        {
            demand -= machines[next].DemandCores;
            shed[count++] = next;
        }

        return count;
    }

    /// <summary>Servers that may receive a machine: underloaded, with room for its memory, and not the one that it leaves.</summary>
    /// <param name="options">The thresholds.</param>
    /// <param name="servers">All servers.</param>
    /// <param name="source">The server that the machine leaves.</param>
    /// <param name="memoryBytes">Its memory.</param>
    /// <param name="candidates">Where their numbers go; as long as <paramref name="servers"/>. <see cref="UniformChoice.ToFront"/> picks among them.</param>
    /// <returns>How many there are.</returns>
    public static int Candidates(CapacityOptions options, ReadOnlySpan<ServerRoom> servers, int source, long memoryBytes, Span<int> candidates)
    {
        int count = 0;
        for (int server = 0; server < servers.Length; server++)
        {
            if (server != source && IsTarget(options, servers[server], memoryBytes))
            {
                candidates[count++] = server;
            }
        }

        return count;
    }

    /// <summary>True when a server may receive a machine of this memory.</summary>
    public static bool IsTarget(CapacityOptions options, ServerRoom server, long memoryBytes) => server.LoadShare < options.UnderloadShare && server.FreeBytes >= memoryBytes;

    /// <summary>The machine with the most demand per byte that was not taken yet; -1 when none has any demand. Of equals the first.</summary>
    private static int Densest(ReadOnlySpan<MachineLoad> machines, ReadOnlySpan<int> taken)
    {
        int best = -1;
        double bestDensity = 0;
        for (int i = 0; i < machines.Length; i++)
        {
            double density = machines[i].DemandCores / machines[i].MemoryBytes;
            if (density > bestDensity && !taken.Contains(i))
            {
                (best, bestDensity) = (i, density);
            }
        }

        return best;
    }
}
