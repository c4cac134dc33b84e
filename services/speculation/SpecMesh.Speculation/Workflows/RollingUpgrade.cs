namespace SpecMesh.Speculation.Workflows;

/// <summary>How a fleet is upgraded.</summary>
/// <param name="ServersAtATime">Servers that are evacuated or upgraded at the same time; 16 (facts: simulation, section 2).</param>
/// <param name="RetrySeconds">After so long a machine whose replicas have all failed is tried again, with new targets; 300 s (same).</param>
/// <param name="MinUpgradeSeconds">Shortest upgrade of an empty server; 600 s (same).</param>
/// <param name="MaxUpgradeSeconds">Longest; 1200 s (same).</param>
public sealed record UpgradeOptions(int ServersAtATime = 16, double RetrySeconds = 300, double MinUpgradeSeconds = 600, double MaxUpgradeSeconds = 1200)
{
    /// <summary>The values of the facts.</summary>
    public static UpgradeOptions Default { get; } = new();
}

/// <summary>How far a server is.</summary>
public enum UpgradeState : byte
{
    /// <summary>Not begun; its machines run, and it may receive others.</summary>
    Pending,

    /// <summary>Its machines leave it.</summary>
    Evacuating,

    /// <summary>Empty; the upgrade runs.</summary>
    Upgrading,

    /// <summary>Done: the best target, because what comes here need not move again.</summary>
    Upgraded,
}

/// <summary>Rolling upgrade: whom to evacuate next, and where to. Pure; nothing is allocated.</summary>
public static class RollingUpgrade
{
    /// <summary>Chooses the servers whose evacuation begins now: pending ones, in the order of their numbers, as many as places are free.</summary>
    /// <param name="options">How many at a time.</param>
    /// <param name="servers">All servers.</param>
    /// <param name="next">Where their numbers go; at least <see cref="UpgradeOptions.ServersAtATime"/> long.</param>
    /// <returns>How many there are.</returns>
    public static int Next(UpgradeOptions options, ReadOnlySpan<UpgradeState> servers, Span<int> next)
    {
        int free = options.ServersAtATime;
        foreach (UpgradeState state in servers)
        {
            free -= state is UpgradeState.Evacuating or UpgradeState.Upgrading ? 1 : 0;
        }

        int count = 0;
        for (int server = 0; server < servers.Length && count < free; server++)
        {
            if (servers[server] == UpgradeState.Pending)
            {
                next[count++] = server;
            }
        }

        return count;
    }

    /// <summary>True when a machine may go to a server in this state: upgraded, or still pending, and never one that is being emptied.</summary>
    public static bool IsTarget(UpgradeState state) => state is UpgradeState.Upgraded or UpgradeState.Pending;

    /// <summary>Servers that may receive a machine: first the upgraded ones, then the pending ones. <c>UniformChoice.ToFront</c> picks within each part; the second is used when the first has too few.</summary>
    /// <param name="servers">All servers.</param>
    /// <param name="freeBytes">Memory that can be promised, by server.</param>
    /// <param name="memoryBytes">Memory of the machine.</param>
    /// <param name="candidates">Where their numbers go; as long as <paramref name="servers"/>.</param>
    /// <returns>How many are upgraded, and how many there are in all.</returns>
    public static (int Upgraded, int All) Candidates(ReadOnlySpan<UpgradeState> servers, ReadOnlySpan<long> freeBytes, long memoryBytes, Span<int> candidates)
    {
        int upgraded = Fitting(servers, freeBytes, memoryBytes, UpgradeState.Upgraded, candidates);
        return (upgraded, upgraded + Fitting(servers, freeBytes, memoryBytes, UpgradeState.Pending, candidates[upgraded..]));
    }

    /// <summary>Chooses the machines of an evacuating server that move now: those that wait and whose pause is over, the one that has waited longest first.</summary>
    /// <param name="retryAtSeconds">By machine: when it may be tried, 0 for one that was not tried yet, infinite for one that is on its way or gone.</param>
    /// <param name="nowSeconds">Present time.</param>
    /// <param name="places">How many further machines may leave the server at the same time.</param>
    /// <param name="next">Where their indexes go; at least <paramref name="places"/> long.</param>
    /// <returns>How many there are.</returns>
    public static int NextMachines(ReadOnlySpan<double> retryAtSeconds, double nowSeconds, int places, Span<int> next)
    {
        int count = 0;
        while (count < places && LongestWaiting(retryAtSeconds, nowSeconds, next[..count]) is >= 0 and var machine)
        {
            next[count++] = machine;
        }

        return count;
    }

    private static int LongestWaiting(ReadOnlySpan<double> retryAtSeconds, double nowSeconds, ReadOnlySpan<int> taken)
    {
        int longest = -1;
        for (int i = 0; i < retryAtSeconds.Length; i++)
        {
            if (retryAtSeconds[i] <= nowSeconds && (longest < 0 || retryAtSeconds[i] < retryAtSeconds[longest]) && !taken.Contains(i))
            {
                longest = i;
            }
        }

        return longest;
    }

    private static int Fitting(ReadOnlySpan<UpgradeState> servers, ReadOnlySpan<long> freeBytes, long memoryBytes, UpgradeState wanted, Span<int> candidates)
    {
        int count = 0;
        for (int server = 0; server < servers.Length; server++)
        {
            if (servers[server] == wanted && freeBytes[server] >= memoryBytes)
            {
                candidates[count++] = server;
            }
        }

        return count;
    }
}
