namespace SpecMesh.Speculation.Workflows;

/// <summary>How a build farm launches machines.</summary>
/// <param name="RescanSeconds">How often launches whose replicas have all failed are tried again; 60 s (facts: simulation, section 2).</param>
/// <param name="LargestBatch">Launches that one look at the backlog may begin; no bound by default.</param>
public sealed record CiOptions(double RescanSeconds = 60, int LargestBatch = int.MaxValue)
{
    /// <summary>The values of the facts.</summary>
    public static CiOptions Default { get; } = new();
}

/// <summary>How far a launch is.</summary>
public enum LaunchState : byte
{
    /// <summary>Asked for, and not begun.</summary>
    Asked,

    /// <summary>Its replicas run.</summary>
    Running,

    /// <summary>All its replicas have failed; it waits for the next look at the backlog.</summary>
    Backlog,

    /// <summary>Its machine runs.</summary>
    Done,
}

/// <summary>CI launch: what is launched, and when again. Pure; nothing is allocated.</summary>
public static class CiLaunch
{
    /// <summary>True when a launch begins as soon as it is asked for; one that has failed waits for the next look instead.</summary>
    public static bool BeginsAtOnce(LaunchState state) => state == LaunchState.Asked;

    /// <summary>The next look at the backlog after this instant: looks are a fixed time apart, counted from 0.</summary>
    public static double NextRescanSeconds(CiOptions options, double nowSeconds) => (Math.Floor(nowSeconds / options.RescanSeconds) + 1) * options.RescanSeconds;

    /// <summary>Chooses what one look at the backlog launches: new ones and failed ones, in the order in which they were asked for. Each try takes fresh targets.</summary>
    /// <param name="options">How launches are batched.</param>
    /// <param name="launches">Launches in the order in which they were asked for.</param>
    /// <param name="begin">Where the indexes of those that begin go; as long as <paramref name="launches"/>.</param>
    /// <returns>How many there are.</returns>
    public static int ToBegin(CiOptions options, ReadOnlySpan<LaunchState> launches, Span<int> begin)
    {
        int count = 0;
        for (int i = 0; i < launches.Length && count < options.LargestBatch; i++)
        {
            if (launches[i] is LaunchState.Asked or LaunchState.Backlog)
            {
                begin[count++] = i;
            }
        }

        return count;
    }
}
