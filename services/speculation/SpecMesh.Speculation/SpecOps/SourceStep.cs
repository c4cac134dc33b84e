using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>One step of the source in the making: its state so far, and the moves that several inputs share.</summary>
internal sealed class SourceStep(SourceState state, SourceLimits limits, DateTimeOffset now)
{
    private readonly List<SourceEffect> effects = [];

    public SourceState State { get; set; } = state;

    public SourceLimits Limits { get; } = limits;

    public DateTimeOffset Now { get; } = now;

    public IReadOnlyList<SourceEffect> Effects => effects;

    public void Do(SourceEffect effect) => effects.Add(effect);

    /// <summary>A live replica; null when it never joined or has ended.</summary>
    public SourceReplica? Find(int number) => State.Replicas.TryGetValue(number, out SourceReplica? replica) && !replica.Ended ? replica : null;

    public void Put(SourceReplica replica) => State = State with { Replicas = State.Replicas.SetItem(replica.Replica, replica) };

    public string HostOf(int number) => State.Replicas[number].Command.TargetHostId;

    public ReplicaCounters CountersOf(int number) => State.Replicas[number].Counters;

    /// <summary>The next round, or none while the guest is suspended for a sibling: the tail goes to the candidate alone.</summary>
    public void ContinueOrWait(int number)
    {
        if (Find(number) is not { Connected: true } replica)
        {
            return;
        }

        bool copying = State.Phase == SourcePhase.Copying;
        Put(replica with { Waiting = !copying });
        if (copying)
        {
            Do(new SourceEffect.RunRound(number));
        }
    }

    /// <summary>The guest runs and may be suspended again: every replica that waited goes on.</summary>
    public void ContinueAllThatWait()
    {
        foreach (SourceReplica waiting in State.Live.Where(replica => replica.Waiting).ToList())
        {
            ContinueOrWait(waiting.Replica);
        }
    }

    /// <summary>Judges what all live replicas cost, together: the agent is the one place that sees every sibling. A replica whose vote may be out is not touched.</summary>
    public void JudgeCosts()
    {
        Sibling[] siblings = [.. State.Live.Select(replica => replica.Sibling with { IsVoted = IsVoted(replica.Replica) })];
        if (siblings.Length == 0)
        {
            return;
        }

        CostFinding[] findings = new CostFinding[siblings.Length];
        int found = CostPolicies.Judge(State.Live.First().Command.Cost, ProgressOptions.Default, CostOfOperation(), siblings, findings);
        foreach (Sibling judged in siblings)
        {
            Put(State.Replicas[judged.Replica] with { Sibling = judged });
        }

        foreach (CostFinding finding in findings.AsSpan(0, found))
        {
            int number = finding.Replica;
            End(number, new ReplicaAborted(State.OperationId, number, State.Epoch, HostOf(number), finding.ToReason(), CountersOf(number)));
        }

        ResumeIfCandidateIsGone();
    }

    private bool IsVoted(int number) => State.Candidate == number && State.Phase is SourcePhase.Journaling or SourcePhase.Voted or SourcePhase.Refusing;

    private OperationCost CostOfOperation() => new(
        State.Replicas.Values.Sum(replica => replica.Counters.BytesSent),
        State.Replicas.Values.Sum(replica => replica.Counters.CpuMs) / 1000,
        State.Replicas.Values.Sum(replica => replica.Sibling.MemoryGibSeconds),
        State.DirtyBytesPerSecond);

    /// <summary>A fault ended the replica.</summary>
    public void Fail(int number, Reason reason)
    {
        End(number, new ReplicaFailed(State.OperationId, number, State.Epoch, HostOf(number), reason, CountersOf(number)));
        ResumeIfCandidateIsGone();
    }

    /// <summary>Ends a replica and tells the operation so.</summary>
    public void End(int number, object message)
    {
        Reason reason = message switch
        {
            ReplicaAborted aborted => aborted.Reason,
            ReplicaFailed failed => failed.Reason,
            ReplicaCancelled cancelled => cancelled.Reason,
            _ => throw new InvalidOperationException($"{message.GetType().Name} does not end a replica."),
        };
        Close(number, reason);
        Do(new SourceEffect.Report(message));
    }

    /// <summary>Ends a replica of which the operation knows already.</summary>
    public void Close(int number, Reason reason)
    {
        Put(State.Replicas[number] with { Ended = true, Waiting = false });
        Do(new SourceEffect.CloseStream(number, reason));
    }

    /// <summary>
    /// Once last pages were sent the candidate's target may hold a complete image, from which the machine could be recovered if this host died. So the guest goes on only
    /// after a refusal that makes that image void; while the suspension is under way it waits for its end.
    /// </summary>
    public void ResumeIfCandidateIsGone()
    {
        if (State.Phase == SourcePhase.Finishing && State.Candidate is { } candidate && Find(candidate) is null)
        {
            Refuse(new Reason("candidate-ended", "The candidate ended before its vote, and its target may hold a complete image."));
        }
    }

    /// <summary>Lets the guest run again: a new incarnation, for which no image is valid.</summary>
    public void Resume()
    {
        double stoodStillMs = State.SuspendedAt is { } since ? (Now - since).TotalMilliseconds : 0;
        State = State with
        {
            Phase = SourcePhase.Resuming,
            Incarnation = State.Incarnation + 1,
            Candidate = null,
            CandidateReason = null,
            SuspendedAt = null,
            VotedAt = null,
            Digest = "",
            DowntimeMs = State.DowntimeMs + stoodStillMs,
        };
        Do(new SourceEffect.ResumeGuest(State.Incarnation));
    }

    /// <summary>Tries to end the vote. The answer decides; without one the same append is tried again.</summary>
    public void Refuse(Reason reason)
    {
        if (State.Phase == SourcePhase.Refusing)
        {
            return;
        }

        SourceEffect.AppendRefusal append = new(State.OwnershipVersion, reason);
        State = State with { Phase = SourcePhase.Refusing, Unanswered = append };
        Do(append);
    }
}
