using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>Where a target stands with one replica.</summary>
public enum TargetPhase
{
    /// <summary>The shell is being built.</summary>
    Preparing,

    /// <summary>The shell waits for pages.</summary>
    Receiving,

    /// <summary>Every page of one incarnation is here, verified; it may be the only image that is left, so only an event that makes it void may end it now.</summary>
    Ready,

    /// <summary>The commit is being appended; its answer decides.</summary>
    Committing,

    /// <summary>Committed; the guest is being resumed.</summary>
    Starting,

    /// <summary>The guest runs here.</summary>
    Running,

    /// <summary>The shell is being destroyed.</summary>
    Destroying,

    /// <summary>Nothing of the replica is left here.</summary>
    Gone,
}

/// <summary>The target agent's side of one replica.</summary>
/// <param name="Command">What it was told to prepare.</param>
public sealed record TargetState(StartReplica Command)
{
    public TargetPhase Phase { get; init; } = TargetPhase.Preparing;

    /// <summary>True once the shell's building has begun.</summary>
    public bool Building { get; init; }

    /// <summary>Incarnation of the image that is complete.</summary>
    public int Incarnation { get; init; }

    /// <summary>Digest of the image that is complete.</summary>
    public string Digest { get; init; } = "";

    /// <summary>Version of the ownership event stream that the source held when it sent the last pages of the image that is complete.</summary>
    public long ImageVersion { get; init; }

    /// <summary>True once the shell's guest has ended: nothing can run here any more.</summary>
    public bool GuestGone { get; init; }

    /// <summary>Version of the ownership event stream that the vote was given at.</summary>
    public long VotedVersion { get; init; }

    /// <summary>What the ownership event stream said when this replica became the owner; null before.</summary>
    public OwnershipView? Decision { get; init; }

    /// <summary>What was appended or read without an answer; it is tried again at the next tick.</summary>
    public TargetEffect? Unanswered { get; init; }

    /// <summary>Why the replica ends, once somebody wants that; the shell is kept while its image may still be needed.</summary>
    public Reason? EndReason { get; init; }
}

/// <summary>What a target agent is told about one replica.</summary>
public abstract record TargetInput
{
    /// <summary>Prepare the shell.</summary>
    public sealed record Start : TargetInput;

    /// <summary>The shell is there; the endpoint is null for a power-on.</summary>
    public sealed record ShellBuilt(string? DataEndpoint, string Digest) : TargetInput;

    /// <summary>The shell could not be built.</summary>
    public sealed record ShellFailed(Reason Reason) : TargetInput;

    /// <summary>Every page is here and the digest is the source's; READY went out on the migration stream.</summary>
    public sealed record ImageComplete(int Incarnation, string Digest, long OwnershipVersion) : TargetInput;

    /// <summary>The source resumed its guest: the image is void.</summary>
    public sealed record ImageVoided : TargetInput;

    /// <summary>The source's vote.</summary>
    public sealed record VoteReceived(long OwnershipVersion, int Incarnation, int Epoch) : TargetInput;

    /// <summary>The source is confirmed dead; the operation votes in its place.</summary>
    public sealed record CommitGranted(CommitReplica Command) : TargetInput;

    /// <summary>The migration stream broke.</summary>
    public sealed record StreamLost(Reason Reason) : TargetInput;

    /// <summary>The shell's guest ended on its own, and its memory with it.</summary>
    public sealed record GuestLost(Reason Reason) : TargetInput;

    /// <summary>The source ended the replica on the migration stream.</summary>
    public sealed record SourceAborted(Reason Reason) : TargetInput;

    /// <summary>The operation ends the replica.</summary>
    public sealed record Abort(AbortReplica Command) : TargetInput;

    /// <summary>Answer to the commit.</summary>
    public sealed record CommitAnswered(OwnershipAnswer Answer) : TargetInput;

    /// <summary>The commit or the read got no answer; it may or may not have happened.</summary>
    public sealed record OwnershipUnanswered(string Detail) : TargetInput;

    /// <summary>What the ownership event stream says.</summary>
    public sealed record OwnershipObserved(OwnershipView View) : TargetInput;

    /// <summary>The guest runs.</summary>
    public sealed record GuestStarted : TargetInput;

    /// <summary>The committed guest could not be resumed yet.</summary>
    public sealed record GuestStartFailed(string Detail) : TargetInput;

    /// <summary>The shell and its memory are gone.</summary>
    public sealed record ShellDestroyed : TargetInput;

    /// <summary>Time passes.</summary>
    public sealed record Tick : TargetInput;
}

/// <summary>What a target agent does next about one replica.</summary>
public abstract record TargetEffect
{
    /// <summary>Build a paused shell, tagged with operation, replica and epoch, and expect its migration stream.</summary>
    public sealed record BuildShell(StartReplica Command) : TargetEffect;

    /// <summary>Append <see cref="OwnershipTransferred"/>.</summary>
    public sealed record AppendTransfer(TransferOwnership Request) : TargetEffect;

    /// <summary>Read the ownership event stream.</summary>
    public sealed record ReadOwnership : TargetEffect;

    /// <summary>Resume the guest: it is ours.</summary>
    /// <param name="Decision">What the ownership event stream says, in which this replica is the owner.</param>
    public sealed record StartGuest(OwnershipView Decision) : TargetEffect;

    /// <summary>Tell the source on the migration stream, to end its pause's clock; the event stream is the proof.</summary>
    public sealed record TellSource(bool Resumed, string Detail) : TargetEffect;

    /// <summary>Destroy the shell and its memory.</summary>
    public sealed record DestroyShell(Reason Reason) : TargetEffect;

    /// <summary>Tell the operation.</summary>
    public sealed record Report(object Message) : TargetEffect;

    /// <summary>Nothing is left to do: keep only the fact that this replica was here.</summary>
    public sealed record Forget : TargetEffect;
}
