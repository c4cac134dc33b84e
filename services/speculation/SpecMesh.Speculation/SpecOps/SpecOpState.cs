using System.Collections.Immutable;
using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>How far an operation is.</summary>
public enum SpecOpPhase
{
    /// <summary>Never heard of.</summary>
    None,

    /// <summary>Refused: it never started.</summary>
    Refused,

    /// <summary>Accepted; replicas are being placed or run.</summary>
    Racing,

    /// <summary>It has its outcome; the losers are being cleaned up.</summary>
    Completed,

    /// <summary>Nothing of it is left anywhere.</summary>
    Settled,
}

/// <summary>How far a replica is.</summary>
public enum ReplicaPhase
{
    /// <summary>Its target was told to prepare a shell.</summary>
    Planned,

    /// <summary>The shell is there; the machine is copied or built.</summary>
    Started,

    /// <summary>The target has everything and waits for its vote.</summary>
    Ready,

    /// <summary>It has its outcome.</summary>
    Ended,
}

/// <summary>One replica, as its operation's event stream tells.</summary>
public sealed record ReplicaState(int Replica, string HostId)
{
    public ReplicaPhase Phase { get; init; } = ReplicaPhase.Planned;

    /// <summary>Incarnation of the image that was complete last; null before the first.</summary>
    public int? ReadyIncarnation { get; init; }

    /// <summary>Ownership version that this image belongs to; null before the first.</summary>
    public long? ReadyVersion { get; init; }

    /// <summary>How it ended; null while it runs.</summary>
    public ReplicaOutcome? Outcome { get; init; }

    /// <summary>Why it ended; null while it runs.</summary>
    public Reason? Reason { get; init; }

    /// <summary>The last counters that were reported.</summary>
    public ReplicaCounters Counters { get; init; } = ReplicaCounters.None;

    /// <summary>Number of the last round that was recorded.</summary>
    public int LastRound { get; init; }

    /// <summary>True when its shell and memory are gone.</summary>
    public bool Cleaned { get; init; }

    /// <summary>True while it may still win.</summary>
    public bool IsLive => Phase != ReplicaPhase.Ended;
}

/// <summary>The fold of <c>specop-{OperationId}</c>.</summary>
public sealed record SpecOpState(Guid OperationId)
{
    public SpecOpPhase Phase { get; init; } = SpecOpPhase.None;

    /// <summary>What was accepted; null before.</summary>
    public SpecOpAccepted? Accepted { get; init; }

    /// <summary>Why it was refused; null otherwise.</summary>
    public SpecOpRefused? Refused { get; init; }

    /// <summary>All replicas, by number.</summary>
    public ImmutableSortedDictionary<int, ReplicaState> Replicas { get; init; } = ImmutableSortedDictionary<int, ReplicaState>.Empty;

    /// <summary>Hosts that are reserved for replicas that start later, in their order.</summary>
    public IReadOnlyList<string> WaitingHostIds { get; init; } = [];

    /// <summary>Why replicas were planned, each time, and what each policy said about their number.</summary>
    public ImmutableList<Reason> Verdicts { get; init; } = [];

    /// <summary>How many requests for targets were answered: the number of the next one.</summary>
    public int AnsweredRequests { get; init; }

    /// <summary>The outcome; null while it runs.</summary>
    public SpecOpCompleted? Completed { get; init; }

    /// <summary>What the source said when it let go; null before.</summary>
    public SourceReleased? Source { get; init; }

    /// <summary>True once the winner runs the guest.</summary>
    public bool Resumed { get; init; }

    /// <summary>True once the winner's guest has ended, or its host is confirmed dead, before it was heard to run.</summary>
    public bool IsWinnerLost { get; init; }

    /// <summary>The replica whose image became the machine after the operation had ended without a winner; null when none did.</summary>
    public int? RecoveredReplica { get; init; }

    /// <summary>Hosts that are confirmed dead.</summary>
    public ImmutableSortedSet<string> FencedHosts { get; init; } = ImmutableSortedSet.Create<string>(StringComparer.Ordinal);

    /// <summary>True once its end was asked for.</summary>
    public bool IsCancelRequested { get; init; }

    /// <summary>The replica whose shell is the machine now; null when none has become it.</summary>
    public int? MachineReplica => Completed?.WinnerReplica ?? RecoveredReplica;

    /// <summary>Replicas that may still win.</summary>
    public IEnumerable<ReplicaState> Live => Replicas.Values.Where(replica => replica.IsLive);

    /// <summary>True when no host holds anything for the operation any more.</summary>
    public bool NothingLeft =>
        Completed is { } completed
        && Replicas.Values.All(replica => replica.Cleaned || replica.Replica == MachineReplica)
        && (completed.SourceHostId is null || Source is not null || FencedHosts.Contains(completed.SourceHostId))
        && (MachineReplica is null || Resumed || IsWinnerLost);

    /// <summary>The fold's step.</summary>
    public static SpecOpState Evolve(SpecOpState state, object @event) => @event switch
    {
        SpecOpAccepted accepted => state with { Phase = SpecOpPhase.Racing, Accepted = accepted, Refused = null },
        SpecOpRefused refused => state with { Phase = SpecOpPhase.Refused, Refused = refused },
        CancelRequested => state with { IsCancelRequested = true },
        ReplicasPlanned planned => state with
        {
            AnsweredRequests = state.AnsweredRequests + 1,
            WaitingHostIds = planned.WaitingHostIds ?? [],
            Verdicts = [.. state.Verdicts, planned.Reason, .. planned.Verdicts ?? []],
            Replicas = state.Replicas.AddRange(planned.Replicas.Select(replica => KeyValuePair.Create(
                replica.Replica,
                new ReplicaState(replica.Replica, replica.HostId) { Cleaned = state.FencedHosts.Contains(replica.HostId) }))),
        },
        TargetsRefused => state with { AnsweredRequests = state.AnsweredRequests + 1 },
        ReplicaStarted started => state.With(started.Replica, replica => replica with { Phase = ReplicaPhase.Started }),
        ReplicaRoundCompleted round => state.With(round.Replica, replica => replica with
        {
            LastRound = round.Round,
            // The counters of a replica that has ended hold this round already: its news was only overtaken.
            Counters = replica.IsLive ? Add(replica.Counters, round) : replica.Counters,
        }),
        ReplicaReady ready => state.With(ready.Replica, replica => replica with
        {
            Phase = replica.IsLive ? ReplicaPhase.Ready : replica.Phase,
            ReadyIncarnation = ready.Incarnation,
            ReadyVersion = ready.OwnershipVersion,
        }),
        ReplicaCommitted committed => state.With(committed.Replica, replica => End(replica, ReplicaOutcome.Won, committed.Reason, replica.Counters)),
        ReplicaAborted aborted => state.With(aborted.Replica, replica => End(replica, ReplicaOutcome.Aborted, aborted.Reason, aborted.Counters)),
        ReplicaFailed failed => state.With(failed.Replica, replica => End(replica, ReplicaOutcome.Failed, failed.Reason, failed.Counters)),
        ReplicaCancelled cancelled => state.With(cancelled.Replica, replica => End(replica, ReplicaOutcome.Cancelled, cancelled.Reason, cancelled.Counters)),
        ReplicaResumed => state with { Resumed = true },
        ReplicaCleaned cleaned => state.With(cleaned.Replica, replica => replica with { Cleaned = true }),
        SpecOpCompleted completed => state with { Phase = SpecOpPhase.Completed, Completed = completed },
        SourceReleased released => Release(state, released),
        WinnerLost => state with { IsWinnerLost = true },
        OperationHostFenced fenced => Fence(state, fenced.HostId),
        MachineRecovered recovered => state with { RecoveredReplica = recovered.Replica },
        SpecOpSettled => state with { Phase = SpecOpPhase.Settled },
        _ => throw new InvalidOperationException($"{@event.GetType().Name} does not belong into {EventStreams.OfOperation(state.OperationId)}."),
    };

    private static SpecOpState Fence(SpecOpState state, string hostId) => state with
    {
        FencedHosts = state.FencedHosts.Add(hostId),
        Replicas = state.Replicas.SetItems(state.Replicas.Where(pair => pair.Value.HostId == hostId).Select(pair => KeyValuePair.Create(pair.Key, pair.Value with { Cleaned = true }))),
        IsWinnerLost = state.IsWinnerLost || (state.MachineReplica is { } replica && state.Replicas[replica].HostId == hostId),
    };

    private SpecOpState With(int replica, Func<ReplicaState, ReplicaState> change) => this with { Replicas = Replicas.SetItem(replica, change(Replicas[replica])) };

    private static ReplicaState End(ReplicaState replica, ReplicaOutcome outcome, Reason reason, ReplicaCounters counters) =>
        replica with { Phase = ReplicaPhase.Ended, Outcome = outcome, Reason = reason, Counters = Latest(replica.Counters, counters) };

    /// <summary>Counters only grow, and whoever ends a replica may know less of them than its rounds have told: a target does not count what the source sent.</summary>
    private static ReplicaCounters Latest(ReplicaCounters known, ReplicaCounters told) => new(
        Math.Max(known.BytesSent, told.BytesSent),
        Math.Max(known.PagesSent, told.PagesSent),
        Math.Max(known.Rounds, told.Rounds),
        Math.Max(known.CpuMs, told.CpuMs),
        Math.Max(known.ElapsedMs, told.ElapsedMs));

    private static ReplicaCounters Add(ReplicaCounters counters, ReplicaRoundCompleted round) => counters with
    {
        BytesSent = counters.BytesSent + round.BytesSent,
        PagesSent = counters.PagesSent + round.PagesSent,
        Rounds = round.Round,
        ElapsedMs = counters.ElapsedMs + round.DurationMs,
    };

    private static SpecOpState Release(SpecOpState state, SourceReleased released)
    {
        ImmutableSortedDictionary<int, ReplicaState> replicas = state.Replicas;
        for (int i = 0; i < released.Replicas.Count; i++)
        {
            if (replicas.TryGetValue(released.Replicas[i], out ReplicaState? replica))
            {
                replicas = replicas.SetItem(replica.Replica, replica with { Counters = Latest(replica.Counters, released.Counters[i]) });
            }
        }

        return state with { Source = released, Replicas = replicas };
    }
}
