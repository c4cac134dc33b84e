using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Model;
using SpecMesh.Simulator.Workloads;
using SpecMesh.Speculation.Replication;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Simulator.WhatIf;

/// <summary>What a policy would have come to.</summary>
/// <param name="Successes">Operations with a winner.</param>
/// <param name="Replicas">Replicas that started.</param>
/// <param name="DelaySeconds">Time from request to winner, over all operations that had one.</param>
/// <param name="Bases">How many replicas' ends rest on each <see cref="Basis"/>.</param>
public sealed record ReplayTotals(int Successes, int Replicas, double DelaySeconds, IReadOnlyList<int> Bases);

/// <summary>Runs every recorded operation once more, under another policy. The choices are the production functions'; the ends are <see cref="HostRecords"/>'.</summary>
public sealed class Replay
{
    private const uint TargetPurpose = 47;

    private readonly Trace trace;
    private readonly PolicyChoice policy;
    private readonly HostRecords records;
    private readonly RandomStream targets;
    private readonly double? hedgeSeconds;
    private readonly int[] bases = new int[3];
    private int successes;
    private int started;
    private int before;
    private double delaySeconds;

    private Replay(Trace trace, PolicyChoice policy, double nearSeconds, double? hedgeSeconds, ulong seed)
    {
        this.trace = trace;
        this.policy = policy;
        this.hedgeSeconds = hedgeSeconds;
        records = new(trace, nearSeconds, seed);
        targets = new(seed, TargetPurpose);
    }

    /// <summary>Replays a whole trace.</summary>
    /// <param name="trace">What was recorded.</param>
    /// <param name="policy">The policy.</param>
    /// <param name="nearSeconds">How far away in time an outcome still counts for a host.</param>
    /// <param name="hedgeSeconds">Delay of a hedge; null: the normal time of the kind.</param>
    /// <param name="seed">Seed of what is drawn.</param>
    public static ReplayTotals Run(Trace trace, PolicyChoice policy, double nearSeconds, double? hedgeSeconds, ulong seed)
    {
        Replay replay = new(trace, policy, nearSeconds, hedgeSeconds, seed);
        for (int operation = 0; operation < trace.Operations.Count; operation++)
        {
            RecordedOperation recorded = trace.Operations[operation];
            replay.records.AdvanceTo(recorded.RequestedSeconds);
            double? seconds = policy.Kind == ManagerKind.RetrySameServer ? replay.Retried(operation) : replay.Raced(operation);
            if (seconds is { } until)
            {
                replay.successes++;
                replay.delaySeconds += recorded.QueuedSeconds + until;
            }
        }

        return new(replay.successes, replay.started, replay.delaySeconds, replay.bases);
    }

    /// <summary>The naive manager: the first recorded host, again and again. A host that was seen failed and then well lets a later attempt through.</summary>
    private double? Retried(int operation)
    {
        int host = Hosts(operation, 1)[0];
        double now = 0;
        for (int made = 1; ; made++)
        {
            AssumedEnd end = Start(operation, host, now);
            now += end.Seconds;
            if (!end.Failed)
            {
                return now;
            }

            if (NaiveRetry.Live.PauseSeconds(made) is not { } pause)
            {
                return null;
            }

            now += pause;
        }
    }

    /// <summary>Replicas on different hosts, all at once or hedged: the first that does not fail wins, and whoever would start later does not.</summary>
    private double? Raced(int operation)
    {
        List<int> hosts = policy.IsAdaptive ? Adaptive(operation) : Hosts(operation, policy.Replicas);
        double delay = policy.Kind == ManagerKind.Hedged ? hedgeSeconds ?? records.NormalSeconds(trace.Operations[operation].Kind) : 0;
        double? won = null;
        double noneLeftAt = 0;
        for (int number = 0; number < hosts.Count; number++)
        {
            double startAt = number == 0 ? 0 : HedgedStart.NextAtSeconds(0, number, delay);
            // Before its time the next one starts when no other is left.
            startAt = won is null ? Math.Min(startAt, noneLeftAt) : startAt;
            if (won <= startAt && startAt > 0)
            {
                break;
            }

            AssumedEnd end = Start(operation, hosts[number], startAt);
            double endAt = startAt + end.Seconds;
            noneLeftAt = Math.Max(noneLeftAt, endAt);
            won = end.Failed ? won : Math.Min(won ?? endAt, endAt);
        }

        return won;
    }

    private AssumedEnd Start(int operation, int host, double afterSeconds)
    {
        RecordedOperation recorded = trace.Operations[operation];
        AssumedEnd end = records.EndOf(operation, host, recorded.RequestedSeconds + recorded.QueuedSeconds + afterSeconds);
        started++;
        bases[(int)end.Basis]++;
        return end;
    }

    /// <summary>The hosts that the operation was tried on, in their order, then others by lot.</summary>
    private List<int> Hosts(int operation, int count)
    {
        RecordedOperation recorded = trace.Operations[operation];
        List<int> hosts = [.. recorded.Replicas.Select(replica => replica.Host).Distinct().Take(count)];
        List<int> others = [.. Enumerable.Range(0, trace.Hosts.Count).Where(host => host != recorded.Source && !hosts.Contains(host))];
        for (uint draw = 0; hosts.Count < count && others.Count > 0; draw++)
        {
            int at = targets.Below(others.Count, (uint)operation, draw);
            hosts.Add(others[at]);
            others.RemoveAt(at);
        }

        return hosts;
    }

    /// <summary>The production choice among all hosts of the trace; whether one had room is not recorded.</summary>
    private List<int> Adaptive(int operation)
    {
        Candidate[] candidates = [.. Hosts(operation, trace.Hosts.Count).Select(host => new Candidate(host, trace.RackOf[host], records.FailureProbability(host)))];
        Candidate[] chosen = new Candidate[AdaptiveReplication.MostReplicas];
        before = AdaptiveReplication.Choose(AdaptiveOptions.Default, candidates, int.MaxValue, before, chosen).Replicas;
        return [.. chosen.Take(before).Select(candidate => candidate.Host)];
    }
}
