using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>What a manager does when the last live replica has ended without winning.</summary>
public abstract record Reaction
{
    /// <summary>The operation has failed.</summary>
    public sealed record GiveUp(Reason Reason) : Reaction;

    /// <summary>One more replica on the same host, later.</summary>
    public sealed record RetrySameServer(int FailedReplica, TimeSpan After) : Reaction;

    /// <summary>One more replica on a host that was not tried yet, at once.</summary>
    public sealed record Repick : Reaction;
}

/// <summary>
/// A manager of operations: how many replicas it begins with, and what it does when all of them have failed. The two naive ones stand beside the speculative one so
/// that all are compared on the same engine.
/// </summary>
/// <param name="Name">How a request names it.</param>
/// <param name="AllowsReplicas">True when it runs several replicas at once.</param>
/// <param name="Attempts">How many replicas it runs one after the other, at most.</param>
/// <param name="React">Its answer to the end of the last live replica.</param>
public sealed record Manager(string Name, bool AllowsReplicas, int Attempts, Func<SpecOpState, ReplicaState, Reaction> React);

/// <summary>The managers that requests and the simulator can name.</summary>
public static class Managers
{
    /// <summary>Attempts of the naive managers.</summary>
    public static int NaiveAttempts => NaiveRetry.Live.Attempts;

    /// <summary>All replicas at once on different hosts; no retries, because the replicas are the retries.</summary>
    public static Manager Speculative { get; } = new("speculative", AllowsReplicas: true, 1, (_, last) => GiveUp(last, "every replica"));

    /// <summary>One replica; after a failure the same host again, with exponential back-off.</summary>
    public static Manager RetrySameServer { get; } = new("retry-same-server", AllowsReplicas: false, NaiveAttempts, (state, last) =>
        NaiveRetry.Live.PauseSeconds(state.Replicas.Count) is { } seconds && MayRetry(last) && !state.FencedHosts.Contains(last.HostId)
            ? new Reaction.RetrySameServer(last.Replica, TimeSpan.FromSeconds(seconds))
            : GiveUp(last, "the last attempt"));

    /// <summary>One replica; after a failure another host, at once.</summary>
    public static Manager RetryRepick { get; } = new("retry-repick", AllowsReplicas: false, NaiveAttempts, (state, last) =>
        state.Replicas.Count < NaiveAttempts && MayRetry(last) ? new Reaction.Repick() : GiveUp(last, "the last attempt"));

    /// <summary>By name.</summary>
    public static IReadOnlyDictionary<string, Manager> ByName { get; } =
        new[] { Speculative, RetrySameServer, RetryRepick }.ToDictionary(manager => manager.Name, StringComparer.Ordinal);

    private static bool MayRetry(ReplicaState last) => last.Outcome is ReplicaOutcome.Failed or ReplicaOutcome.Aborted;

    private static Reaction.GiveUp GiveUp(ReplicaState last, string what) =>
        new(new Reason("no-replica-left", $"No replica is left; {what} ended, the last one on {last.HostId}: {last.Reason?.Detail}"));
}
