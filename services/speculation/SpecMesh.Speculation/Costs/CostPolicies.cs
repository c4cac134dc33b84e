using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Costs;

/// <summary>What a cost policy says about one replica.</summary>
/// <param name="Abort">True: the replica costs more than the workload allows.</param>
/// <param name="Reason">The policy's name as code, with what it observed and its limit; null when it has nothing to object.</param>
public sealed record CostVerdict(bool Abort, Reason? Reason)
{
    /// <summary>Nothing to object.</summary>
    public static CostVerdict Continue { get; } = new(false, null);
}

/// <summary>
/// The one place where a replica's cost is judged: once per second and at each round's end, by the agent that sees all siblings, and by the simulator.
/// A further policy (resources, rate of progress) is one more function in <see cref="Judge"/> and one more field of <see cref="CostLimits"/>.
/// </summary>
public static class CostPolicies
{
    /// <summary>The longest limit that may be asked for, in seconds.</summary>
    public const double MaxTimeoutSeconds = 86_400;

    /// <summary>Judges one replica. A replica whose vote was sent is never asked about.</summary>
    public static CostVerdict Judge(CostLimits limits, ReplicaCounters counters) => Timeout(limits, counters);

    /// <summary>Seconds that one replica of this machine may take when the workload names no limit: three times what a slow network needs, at least a minute.</summary>
    /// <remarks><c>facts: T = max(floor, 3·(setup + RAM/rate))</c> with a setup of 5 s and a rate of 64 MiB/s; a guest that is only built needs a quarter of that.</remarks>
    public static TimeSpan DefaultTimeout(OperationKind kind, long memoryBytes)
    {
        const double SetupSeconds = 5, BytesPerSecond = 64.0 * 1024 * 1024, FloorSeconds = 60;
        double copySeconds = memoryBytes / BytesPerSecond / (kind == OperationKind.PowerOn ? 4 : 1);
        return TimeSpan.FromSeconds(Math.Max(FloorSeconds, 3 * (SetupSeconds + copySeconds)));
    }

    /// <summary>The first field of the limits that makes no sense, and why; null when all do.</summary>
    public static (string Field, string Detail)? FirstError(CostLimits limits)
    {
        if (limits.TimeoutSeconds is { } seconds && !(seconds > 0 && seconds <= MaxTimeoutSeconds))
        {
            return ("cost.timeoutSeconds", $"A replica's timeout is above 0 and at most {MaxTimeoutSeconds} seconds.");
        }

        return null;
    }

    private static CostVerdict Timeout(CostLimits limits, ReplicaCounters counters)
    {
        double elapsedSeconds = counters.ElapsedMs / 1000;
        return limits.TimeoutSeconds is { } limit && elapsedSeconds > limit
            ? new CostVerdict(true, new Reason("timeout", "The replica took longer than the workload allows.", Math.Round(elapsedSeconds, 3), limit))
            : CostVerdict.Continue;
    }
}
