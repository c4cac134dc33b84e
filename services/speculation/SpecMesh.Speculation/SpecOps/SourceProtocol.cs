using SpecMesh.Contracts;
using SpecMesh.Speculation.PreCopy;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>Limits of the source's side.</summary>
/// <param name="StopRule">When a replica becomes the candidate.</param>
/// <param name="VoteLimit">How long the source waits for the commit before it appends a refusal.</param>
/// <param name="PauseLimit">How long the guest may stand still for one candidate before its vote.</param>
public sealed record SourceLimits(StopRule StopRule, TimeSpan VoteLimit, TimeSpan PauseLimit)
{
    /// <summary>Two seconds for the commit; ten for the last pages, which were estimated to take milliseconds.</summary>
    public static SourceLimits Default { get; } = new(StopRule.Default, TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(10));
}

/// <summary>
/// The source agent's state machine: one pre-copy to several targets, one candidate at a time, one vote per version of the ownership event stream.
/// </summary>
/// <remarks>
/// <code>
/// Copying ─stop rule→ Suspending → Finishing ─READY→ Journaling → Voted ─transferred→ Destroying → Released
///    ↑                    │            │ candidate gone             │ 2 s, broken stream, abort
///    └──── Resuming ←─────┘            └────────→ Refusing ←────────┘
///             └──────────────── refused ─────────────┘ └─transferred→ Destroying
/// </code>
/// The guest may be resumed from Suspending at will. From Finishing on a target may hold a complete image, and after a vote it may commit it: then the guest goes on only after
/// the source's own refusal is durable, which makes that image void for everybody (services/decisions/0012).
/// </remarks>
public static class SourceProtocol
{
    /// <summary>One step.</summary>
    /// <param name="state">Where the source stands.</param>
    /// <param name="input">What it is told.</param>
    /// <param name="limits">Its limits.</param>
    /// <param name="now">Its clock.</param>
    /// <returns>Where it stands then, and what to do, in order.</returns>
    public static (SourceState State, IReadOnlyList<SourceEffect> Effects) Step(SourceState state, SourceInput input, SourceLimits limits, DateTimeOffset now)
    {
        SourceStep step = new(state, limits, now);
        switch (input)
        {
            case SourceInput.Join join: Join(step, join.Command); break;
            case SourceInput.StreamOpened opened: Opened(step, opened.Replica); break;
            case SourceInput.RoundEnded ended: RoundEnded(step, ended); break;
            case SourceInput.GuestSuspended: Suspended(step); break;
            case SourceInput.SuspendFailed failed: SuspendFailed(step, failed); break;
            case SourceInput.ReadyReceived ready: Ready(step, ready); break;
            case SourceInput.VoteJournaled: Journaled(step); break;
            case SourceInput.JournalFailed failed: JournalFailed(step, failed); break;
            case SourceInput.StreamFailed failed: StreamFailed(step, failed); break;
            case SourceInput.Abort abort: Abort(step, abort.Command); break;
            case SourceInput.Tick tick: Tick(step, tick); break;
            case SourceInput.ResumedHint hint: SourceOwnership.Hint(step, hint); break;
            case SourceInput.Release: SourceOwnership.Release(step); break;
            case SourceInput.OwnershipObserved observed: SourceOwnership.Observed(step, observed.View); break;
            case SourceInput.RefusalAnswered answered: SourceOwnership.Answered(step, answered.Answer); break;
            case SourceInput.OwnershipUnanswered: break;
            case SourceInput.GuestResumed: Resumed(step); break;
            case SourceInput.GuestDestroyed: SourceOwnership.Destroyed(step); break;
            case SourceInput.GuestLost lost: GuestLost(step, lost); break;
            default: throw new InvalidOperationException($"{input.GetType().Name} is no input of a source.");
        }

        return (step.State, step.Effects);
    }

    private static void Join(SourceStep step, ConnectReplica command)
    {
        SourceState state = step.State;
        if (command.Epoch != state.Epoch || state.ReleaseAsked || state.Phase is SourcePhase.Destroying or SourcePhase.Released || state.Replicas.ContainsKey(command.Replica))
        {
            return;
        }

        step.State = state with { Replicas = state.Replicas.Add(command.Replica, new SourceReplica(command)) };
        step.Do(new SourceEffect.OpenStream(command));
    }

    private static void Opened(SourceStep step, int number)
    {
        if (step.Find(number) is not { Connected: false } replica)
        {
            return;
        }

        bool isFirst = !step.State.Live.Any(other => other.Connected);
        step.Put(replica with { Connected = true });
        if (!step.State.Confirmed)
        {
            // Not before: an open migration stream holds the guest's dirty log, so that an earlier operation has let go of the guest, and its own refusal, which would make an image of an
            // older version void, is behind. A command that was delayed past its operation's end is found out here too.
            step.State = step.State with { AnswerIsOld = isFirst && step.State.Unanswered is SourceEffect.ReadOwnership };
            SourceOwnership.Read(step);
        }

        step.ContinueOrWait(number);
    }

    /// <summary>Where a round ends: the costs of all siblings are judged, and then the stop rule.</summary>
    private static void RoundEnded(SourceStep step, SourceInput.RoundEnded ended)
    {
        step.Do(new SourceEffect.Report(ended.Round));
        if (step.Find(ended.Round.Replica) is not { } replica)
        {
            return;
        }

        long remainingBytes = ended.Round.PendingPages * SpecOpRules.PageBytes;
        step.Put(replica.At(ended.Counters, new ReplicaProgress(remainingBytes, ended.Round.AcknowledgedBytesPerSecond)).AfterRound(remainingBytes));
        step.State = step.State with { DirtyBytesPerSecond = ended.Round.DirtyPagesPerSecond * SpecOpRules.PageBytes };
        if (ended.Round.Final)
        {
            return;
        }

        step.JudgeCosts();
        if (step.Find(replica.Replica) is null)
        {
            return;
        }

        (RoundVerdict verdict, Reason reason) = step.Limits.StopRule.Judge(ended.Round);
        if (verdict == RoundVerdict.StopAndCopy && step.State.Phase == SourcePhase.Copying)
        {
            if (!step.State.Confirmed)
            {
                step.Put(step.State.Replicas[replica.Replica] with { Waiting = true });
                return;
            }

            step.State = step.State with { Phase = SourcePhase.Suspending, Candidate = replica.Replica, CandidateReason = reason, SuspendedAt = step.Now };
            step.Do(new SourceEffect.SuspendGuest());
            return;
        }

        step.ContinueOrWait(replica.Replica);
    }

    private static void Suspended(SourceStep step)
    {
        if (step.State.Phase != SourcePhase.Suspending)
        {
            return;
        }

        if (step.State.Candidate is not { } candidate || step.Find(candidate) is null)
        {
            step.Resume();
            return;
        }

        step.State = step.State with { Phase = SourcePhase.Finishing };
        step.Do(new SourceEffect.FinishReplica(candidate, step.State.Incarnation, step.State.OwnershipVersion));
    }

    private static void SuspendFailed(SourceStep step, SourceInput.SuspendFailed failed)
    {
        if (step.State is { Phase: SourcePhase.Suspending, Candidate: { } candidate })
        {
            step.End(candidate, new ReplicaFailed(step.State.OperationId, candidate, step.State.Epoch, step.HostOf(candidate), new Reason("suspend-failed", failed.Detail), step.CountersOf(candidate)));
            step.Resume();
        }
    }

    private static void Ready(SourceStep step, SourceInput.ReadyReceived ready)
    {
        if (step.State.Phase != SourcePhase.Finishing || step.State.Candidate != ready.Replica || step.State.Incarnation != ready.Incarnation)
        {
            return;
        }

        step.State = step.State with { Phase = SourcePhase.Journaling, Digest = ready.Digest };
        step.Do(new SourceEffect.JournalVote(ready.Replica, step.HostOf(ready.Replica), step.State.OwnershipVersion, ready.Incarnation, ready.Digest));
    }

    private static void Journaled(SourceStep step)
    {
        if (step.State is not { Phase: SourcePhase.Journaling, Candidate: { } candidate })
        {
            return;
        }

        step.State = step.State with { Phase = SourcePhase.Voted, VotedAt = step.Now };
        if (step.Find(candidate) is null)
        {
            // The replica ended while its vote was being written. The journal says "voted", so the vote is treated as given.
            step.Refuse(new Reason("candidate-ended", "The replica ended before its vote was sent."));
            return;
        }

        step.Do(new SourceEffect.SendVote(candidate, step.State.OwnershipVersion, step.State.Incarnation, step.State.Epoch));
    }

    private static void JournalFailed(SourceStep step, SourceInput.JournalFailed failed)
    {
        if (step.State is { Phase: SourcePhase.Journaling, Candidate: { } candidate })
        {
            if (step.Find(candidate) is not null)
            {
                step.Fail(candidate, new Reason("journal-failed", $"The source could not write its vote: {failed.Detail}"));
            }

            // Part of the write may have reached the disk, so only the event stream may free the guest.
            step.State = step.State with { Phase = SourcePhase.Voted, VotedAt = step.Now };
            step.Refuse(new Reason("journal-failed", "The source could not write its vote."));
        }
    }

    private static void StreamFailed(SourceStep step, SourceInput.StreamFailed failed)
    {
        if (step.Find(failed.Replica) is not { } replica)
        {
            return;
        }

        step.Put(replica with { Counters = failed.Counters });
        if (step.State.VoteIsOut && step.State.Candidate == failed.Replica)
        {
            // The vote may have arrived before the stream broke.
            step.Refuse(new Reason("stream-lost", $"The migration stream broke after the vote: {failed.Reason.Detail}"));
            return;
        }

        step.Fail(failed.Replica, failed.Reason);
    }

    private static void Abort(SourceStep step, AbortReplica command)
    {
        if (command.Epoch != step.State.Epoch || step.Find(command.Replica) is not { } replica)
        {
            return;
        }

        if (step.State.VoteIsOut && step.State.Candidate == command.Replica)
        {
            step.Refuse(command.Reason);
            return;
        }

        SourceState state = step.State;
        object message = command.Outcome switch
        {
            ReplicaOutcome.Cancelled => new ReplicaCancelled(state.OperationId, replica.Replica, state.Epoch, replica.Command.TargetHostId, command.Reason, replica.Counters),
            ReplicaOutcome.Failed => new ReplicaFailed(state.OperationId, replica.Replica, state.Epoch, replica.Command.TargetHostId, command.Reason, replica.Counters),
            _ => new ReplicaAborted(state.OperationId, replica.Replica, state.Epoch, replica.Command.TargetHostId, command.Reason, replica.Counters),
        };
        step.End(replica.Replica, message);
        step.ResumeIfCandidateIsGone();
    }

    private static void Tick(SourceStep step, SourceInput.Tick tick)
    {
        foreach ((int number, ReplicaCounters counters) in tick.Counters)
        {
            if (step.Find(number) is { } replica)
            {
                ReplicaProgress? progress = tick.Progress is not null && tick.Progress.TryGetValue(number, out ReplicaProgress known) ? known : null;
                step.Put(replica.At(counters, progress));
            }
        }

        step.JudgeCosts();

        SourceState state = step.State;
        if (state is { Phase: SourcePhase.Finishing, Candidate: { } candidate, SuspendedAt: { } since } && step.Now - since > step.Limits.PauseLimit)
        {
            double seconds = Math.Round((step.Now - since).TotalSeconds, 3);
            step.Fail(candidate, new Reason("pause-limit", "The last pages took longer than a guest may stand still.", seconds, step.Limits.PauseLimit.TotalSeconds));
        }
        else if (state is { Phase: SourcePhase.Voted, VotedAt: { } votedAt } && step.Now - votedAt > step.Limits.VoteLimit)
        {
            step.Refuse(new Reason("no-word", "No commit came in time after the vote.", Math.Round((step.Now - votedAt).TotalSeconds, 3), step.Limits.VoteLimit.TotalSeconds));
        }
        else if (state.Unanswered is { } unanswered)
        {
            step.Do(unanswered);
        }
        else if (state.Phase == SourcePhase.Copying && (!state.Confirmed || !state.Live.Any()))
        {
            // A command that was delayed past its operation's end, to a target that is gone, would keep the source for ever: nobody says again that the operation is over.
            SourceOwnership.Read(step);
        }
    }

    private static void Resumed(SourceStep step)
    {
        if (step.State.Phase != SourcePhase.Resuming)
        {
            return;
        }

        step.State = step.State with { Phase = SourcePhase.Copying };
        step.ContinueAllThatWait();
        SourceOwnership.LetGoIfAsked(step);
    }

    private static void GuestLost(SourceStep step, SourceInput.GuestLost lost)
    {
        if (step.State.Phase is SourcePhase.Destroying or SourcePhase.Released)
        {
            return;
        }

        // The candidate's target may hold, or be about to hold, the only image that is left.
        bool mayBeSaved = step.State.ImageMayBeOut;
        foreach (SourceReplica replica in step.State.Live.Where(replica => !(mayBeSaved && step.State.Candidate == replica.Replica)).ToList())
        {
            step.End(replica.Replica, new ReplicaFailed(step.State.OperationId, replica.Replica, step.State.Epoch, replica.Command.TargetHostId, new Reason("guest-lost", lost.Detail), replica.Counters));
        }

        if (step.State.Phase is SourcePhase.Suspending or SourcePhase.Resuming)
        {
            // There is nothing to suspend or resume any more; what is left to do is to let go when asked.
            step.State = step.State with { Phase = SourcePhase.Copying, Candidate = null, SuspendedAt = null };
            SourceOwnership.LetGoIfAsked(step);
        }
    }
}
