using Microsoft.Extensions.Options;
using SpecMesh.Speculation.Health;

namespace SpecMesh.FailureMonitor;

/// <summary>The configuration section <c>SpecMesh:FailureMonitor</c>.</summary>
public sealed record FailureMonitorOptions
{
    public const string Section = "SpecMesh:FailureMonitor";
    public const double DefaultHeartbeatSeconds = 1;
    public const double DefaultSuspectAfterSeconds = 5;

    /// <summary>Seconds between the beats of an agent, and between two looks at the silences, 0.1 to 60.</summary>
    public double HeartbeatSeconds { get; init; } = DefaultHeartbeatSeconds;

    /// <summary>Silence in seconds beyond which a host is suspected; at least two heartbeats, at most 3600. After a start of the monitor it is also the grace that every known host gets.</summary>
    public double SuspectAfterSeconds { get; init; } = DefaultSuspectAfterSeconds;

    /// <summary>True on a test cluster, where hosts may be broken on purpose. The agents' own <c>SpecMesh:AllowFaultInjection</c> must say the same, or they refuse.</summary>
    public bool AllowFaultInjection { get; init; }

    /// <summary>Percent of the hosts that are broken at every instant, 0 to below 100; 0: none, and nothing is ever injected.</summary>
    public double InjectedFailedPercent { get; init; }

    /// <summary>Shortest injected fault in seconds, above 0.</summary>
    public double InjectedFaultMinSeconds { get; init; } = new FaultModel(0).MinSeconds;

    /// <summary>Longest injected fault in seconds, at least the shortest, at most 86400.</summary>
    public double InjectedFaultMaxSeconds { get; init; } = new FaultModel(0).MaxSeconds;

    /// <summary>The same seed over the same hosts gives the same faults.</summary>
    public ulong InjectedFaultSeed { get; init; } = 1;

    /// <summary>The fault model; null when nothing is injected.</summary>
    internal FaultModel? InjectedFaults =>
        InjectedFailedPercent > 0 ? new FaultModel(InjectedFailedPercent / 100, InjectedFaultMinSeconds, InjectedFaultMaxSeconds) : null;

    internal TimeSpan Heartbeat => TimeSpan.FromSeconds(HeartbeatSeconds);

    internal TimeSpan SuspectAfter => TimeSpan.FromSeconds(SuspectAfterSeconds);
}

/// <summary>Checks the section and names every wrong setting at once.</summary>
internal sealed class FailureMonitorOptionsValidator : IValidateOptions<FailureMonitorOptions>
{
    public ValidateOptionsResult Validate(string? name, FailureMonitorOptions options)
    {
        List<string> errors = [];
        if (!(options.HeartbeatSeconds is >= 0.1 and <= 60))
        {
            errors.Add($"{FailureMonitorOptions.Section}:HeartbeatSeconds is {options.HeartbeatSeconds}; it must be from 0.1 to 60.");
        }

        // One lost beat must not be a suspicion.
        if (!(options.SuspectAfterSeconds <= 3600 && options.SuspectAfterSeconds >= 2 * options.HeartbeatSeconds))
        {
            errors.Add($"{FailureMonitorOptions.Section}:SuspectAfterSeconds is {options.SuspectAfterSeconds}; it must be at least two heartbeats and at most 3600.");
        }

        CheckInjectedFaults(errors, options);
        return errors.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(errors);
    }

    /// <summary>Two settings must agree before a host is broken: a number that was left over from a test breaks nothing.</summary>
    private static void CheckInjectedFaults(List<string> errors, FailureMonitorOptions options)
    {
        const double LongestSeconds = 86_400;
        if (!(options.InjectedFailedPercent is >= 0 and < 100))
        {
            errors.Add($"{FailureMonitorOptions.Section}:InjectedFailedPercent is {options.InjectedFailedPercent}; it must be from 0 to below 100.");
        }

        if (options is { InjectedFailedPercent: not 0, AllowFaultInjection: false })
        {
            errors.Add($"{FailureMonitorOptions.Section}:InjectedFailedPercent is {options.InjectedFailedPercent}, which needs {FailureMonitorOptions.Section}:AllowFaultInjection: only a test cluster is broken on purpose.");
        }

        if (!(options.InjectedFaultMinSeconds is > 0 and <= LongestSeconds))
        {
            errors.Add($"{FailureMonitorOptions.Section}:InjectedFaultMinSeconds is {options.InjectedFaultMinSeconds}; it must be above 0 and at most {LongestSeconds}.");
        }

        if (!(options.InjectedFaultMaxSeconds >= options.InjectedFaultMinSeconds && options.InjectedFaultMaxSeconds <= LongestSeconds))
        {
            errors.Add($"{FailureMonitorOptions.Section}:InjectedFaultMaxSeconds is {options.InjectedFaultMaxSeconds}; it must be at least InjectedFaultMinSeconds and at most {LongestSeconds}.");
        }
    }
}
