using Microsoft.Extensions.Options;

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

        return errors.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(errors);
    }
}
