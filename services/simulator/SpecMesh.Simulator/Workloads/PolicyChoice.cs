using System.Globalization;
using SpecMesh.Simulator.Model;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Simulator.Workloads;

/// <summary>A policy as the command line names it.</summary>
/// <param name="Name"><c>naive</c>, <c>sq1</c> to <c>sq16</c>, <c>hedged2</c> to <c>hedged16</c>, or <c>adaptive</c>.</param>
/// <param name="Kind">How its operations are run.</param>
/// <param name="Replicas">Replicas of an operation; with <paramref name="IsAdaptive"/> the most.</param>
/// <param name="IsAdaptive">Whether the number and the targets follow the failures that were seen.</param>
public sealed record PolicyChoice(string Name, ManagerKind Kind, int Replicas, bool IsAdaptive = false)
{
    /// <summary>The baseline of every comparison.</summary>
    public static PolicyChoice Naive { get; } = new("naive", ManagerKind.RetrySameServer, 1);

    /// <summary>Reads a name; null when there is no such policy.</summary>
    public static PolicyChoice? Read(string name) => name switch
    {
        "naive" => Naive,
        "adaptive" => new(name, ManagerKind.AllAtOnce, 0, IsAdaptive: true),
        _ when Number(name, "sq") is >= 1 and <= Race.MostReplicas and var k => new(name, ManagerKind.AllAtOnce, k),
        _ when Number(name, "hedged") is >= 2 and <= Race.MostReplicas and var k => new(name, ManagerKind.Hedged, k),
        _ => null,
    };

    /// <summary>How operations are run under these parameters.</summary>
    /// <param name="parameters">The back-off, and the hedge's delay when it is set.</param>
    /// <param name="normalSeconds">The workload's normal time of an operation, for the hedge.</param>
    public Conduct ConductWith(Parameters parameters, double normalSeconds) => new(
        Kind,
        NaiveRetry.Evaluation with { FirstPauseSeconds = parameters.BackOffSeconds },
        parameters.HedgeDelaySeconds > 0 ? parameters.HedgeDelaySeconds : normalSeconds,
        parameters.SourceFailures);

    private static int Number(string name, string prefix) =>
        name.StartsWith(prefix, StringComparison.Ordinal) && int.TryParse(name.AsSpan(prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int k) ? k : 0;
}
