using System.Collections.Frozen;
using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Health;

/// <summary>What a monitor has seen of one host.</summary>
/// <param name="HostId">The host.</param>
/// <param name="Silence">Time since its last beat, by a monotonic clock; since the monitor began to watch it when it has not beaten since.</param>
/// <param name="HeardSinceStart">False when the monitor has not heard it at all.</param>
public sealed record SilenceObserved(string HostId, TimeSpan Silence, bool HeardSinceStart);

/// <summary>A monitor has heard a host.</summary>
/// <param name="HostId">The host.</param>
/// <param name="SilenceBefore">Time since the beat before it, by a monotonic clock; null when it is the first beat that the monitor hears.</param>
public sealed record BeatHeard(string HostId, TimeSpan? SilenceBefore);

/// <summary>Where a host becomes suspected, and trusted again.</summary>
public static class HealthDecider
{
    /// <summary>Reasons of a replica's failure that lie with the source; they are not charged to the target.</summary>
    public static readonly FrozenSet<string> SourceFaults = FrozenSet.Create(StringComparer.Ordinal, "suspend-failed", "guest-lost", "journal-failed");

    /// <summary>Judges a silence.</summary>
    /// <param name="state">The host's health.</param>
    /// <param name="seen">The observation.</param>
    /// <param name="limit">Silence beyond which a host is suspected.</param>
    /// <returns><see cref="HostSuspected"/>, recorded and told; nothing when the host is suspected already.</returns>
    public static Decision Decide(HealthState state, SilenceObserved seen, TimeSpan limit) =>
        state.Suspicion is not null || seen.Silence <= limit ? Decision.Nothing : Change(new HostSuspected(seen.HostId, WhySuspected(seen, limit)));

    /// <summary>Judges a beat.</summary>
    /// <returns><see cref="HostRecovered"/>, recorded and told; nothing when the host is trusted.</returns>
    public static Decision Decide(HealthState state, BeatHeard beat) =>
        state.Suspicion is null ? Decision.Nothing : Change(new HostRecovered(beat.HostId, WhyTrusted(beat)));

    /// <summary>A fault ended a replica on this host.</summary>
    public static Decision Decide(HealthState state, ReplicaFailed report, DateTimeOffset now) =>
        SourceFaults.Contains(report.Reason.Code) ? Decision.Nothing : Count(state, report.OperationId, report.Replica, failed: true, now);

    /// <summary>A replica on this host won and its guest runs. Aborted and cancelled losers tell nothing about a host and are not counted at all.</summary>
    public static Decision Decide(HealthState state, ReplicaResumed report, DateTimeOffset now) => Count(state, report.OperationId, report.Replica, failed: false, now);

    private static Decision Count(HealthState state, Guid operationId, int replica, bool failed, DateTimeOffset now) =>
        state.Counted.Contains(new ReplicaKey(operationId, replica))
            ? Decision.Nothing
            : new Decision([new ReplicaOutcomeCounted(state.HostId, operationId, replica, failed, now)], []);

    private static Decision Change(object change) => new([change], [new Effect(change)]);

    private static Reason WhyTrusted(BeatHeard beat) => beat.SilenceBefore is { } silence
        ? new Reason("beats-again", $"The host beats again after {Seconds(silence)} s.", silence.TotalSeconds)
        : new Reason("beats-again", "The host beats.");

    private static Reason WhySuspected(SilenceObserved seen, TimeSpan limit) => new(
        seen.HeardSinceStart ? "silent" : "not-heard",
        seen.HeardSinceStart
            ? $"No beat for {Seconds(seen.Silence)} s; {Seconds(limit)} s are allowed."
            : $"No beat in the {Seconds(seen.Silence)} s since it is watched; {Seconds(limit)} s are allowed.",
        seen.Silence.TotalSeconds,
        limit.TotalSeconds);

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("0.0##", System.Globalization.CultureInfo.InvariantCulture);
}
