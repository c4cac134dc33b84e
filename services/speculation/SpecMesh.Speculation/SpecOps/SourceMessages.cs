using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>How far a replica is.</summary>
/// <param name="RemainingBytes">Memory still to be sent to it.</param>
/// <param name="AcknowledgedBytesPerSecond">Rate at which its target acknowledges, as a moving average.</param>
public readonly record struct ReplicaProgress(long RemainingBytes, double AcknowledgedBytesPerSecond);

/// <summary>What a source agent is told: by commands, by its data path, its journal, its guest, its clock and the ownership event stream.</summary>
public abstract record SourceInput
{
    /// <summary>A replica joins the race.</summary>
    public sealed record Join(ConnectReplica Command) : SourceInput;

    /// <summary>The migration stream is open and authenticated.</summary>
    public sealed record StreamOpened(int Replica) : SourceInput;

    /// <summary>A round is sent and acknowledged.</summary>
    public sealed record RoundEnded(ReplicaRoundCompleted Round, ReplicaCounters Counters) : SourceInput;

    /// <summary>The guest stands still.</summary>
    public sealed record GuestSuspended : SourceInput;

    /// <summary>The guest could not be suspended; it runs on.</summary>
    public sealed record SuspendFailed(string Detail) : SourceInput;

    /// <summary>The candidate's target has everything of this incarnation, verified.</summary>
    public sealed record ReadyReceived(int Replica, int Incarnation, string Digest) : SourceInput;

    /// <summary>The vote is on disk.</summary>
    public sealed record VoteJournaled : SourceInput;

    /// <summary>The vote could not be written; it was not given.</summary>
    public sealed record JournalFailed(string Detail) : SourceInput;

    /// <summary>The migration stream broke.</summary>
    public sealed record StreamFailed(int Replica, Reason Reason, ReplicaCounters Counters) : SourceInput;

    /// <summary>The target says that it runs the guest; only the ownership event stream proves it.</summary>
    public sealed record ResumedHint(int Replica) : SourceInput;

    /// <summary>Somebody ends a replica.</summary>
    public sealed record Abort(AbortReplica Command) : SourceInput;

    /// <summary>The operation is over.</summary>
    public sealed record Release : SourceInput;

    /// <summary>What the ownership event stream says.</summary>
    public sealed record OwnershipObserved(OwnershipView View) : SourceInput;

    /// <summary>Answer to the append of a refusal.</summary>
    public sealed record RefusalAnswered(OwnershipAnswer Answer) : SourceInput;

    /// <summary>The append or the read got no answer; it may or may not have happened.</summary>
    public sealed record OwnershipUnanswered(string Detail) : SourceInput;

    /// <summary>Time passes; the counters of every live replica, and how far each is where that was measured.</summary>
    public sealed record Tick(IReadOnlyDictionary<int, ReplicaCounters> Counters, IReadOnlyDictionary<int, ReplicaProgress>? Progress = null) : SourceInput;

    /// <summary>The guest runs again.</summary>
    public sealed record GuestResumed : SourceInput;

    /// <summary>The source's copy is gone.</summary>
    public sealed record GuestDestroyed : SourceInput;

    /// <summary>The guest died on its own.</summary>
    public sealed record GuestLost(string Detail) : SourceInput;
}

/// <summary>What a source agent does next; the shell around the protocol carries it out and answers with an input.</summary>
public abstract record SourceEffect
{
    /// <summary>Open a migration stream and add a bitmap with every page pending.</summary>
    public sealed record OpenStream(ConnectReplica Command) : SourceEffect;

    /// <summary>Send what is pending for this replica.</summary>
    public sealed record RunRound(int Replica) : SourceEffect;

    /// <summary>Suspend the guest.</summary>
    public sealed record SuspendGuest : SourceEffect;

    /// <summary>Harvest a last time, send the rest and the version that the image belongs to, and wait for READY.</summary>
    public sealed record FinishReplica(int Replica, int Incarnation, long OwnershipVersion) : SourceEffect;

    /// <summary>Write the vote to disk before it is given.</summary>
    public sealed record JournalVote(int Replica, string TargetHostId, long OwnershipVersion, int Incarnation, string Digest) : SourceEffect;

    /// <summary>Give the vote on the migration stream.</summary>
    public sealed record SendVote(int Replica, long OwnershipVersion, int Incarnation, int Epoch) : SourceEffect;

    /// <summary>Append <see cref="TransferRefused"/> at the version that the vote was given at.</summary>
    public sealed record AppendRefusal(long OwnershipVersion, Reason Reason) : SourceEffect;

    /// <summary>Read the ownership event stream.</summary>
    public sealed record ReadOwnership : SourceEffect;

    /// <summary>Let the guest run; every image taken so far is void.</summary>
    public sealed record ResumeGuest(int Incarnation) : SourceEffect;

    /// <summary>Close the migration stream and drop its bitmap.</summary>
    public sealed record CloseStream(int Replica, Reason Reason) : SourceEffect;

    /// <summary>Destroy the source's copy: another host owns the machine.</summary>
    public sealed record DestroyGuest : SourceEffect;

    /// <summary>Tell the operation.</summary>
    public sealed record Report(object Message) : SourceEffect;

    /// <summary>Nothing is left to do: forget the operation and its journal entry.</summary>
    public sealed record Forget : SourceEffect;
}
