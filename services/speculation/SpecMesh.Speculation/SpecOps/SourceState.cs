using System.Collections.Immutable;
using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>Where the source stands between a running guest and a destroyed copy.</summary>
public enum SourcePhase
{
    /// <summary>The guest runs; replicas copy.</summary>
    Copying,

    /// <summary>The guest is being suspended for the candidate.</summary>
    Suspending,

    /// <summary>Suspended; the candidate gets the last pages.</summary>
    Finishing,

    /// <summary>The vote is being written to disk. It has not been given.</summary>
    Journaling,

    /// <summary>The vote was given. From here the guest may run here again only after a refusal is durable.</summary>
    Voted,

    /// <summary>The refusal is being appended; its answer decides whether the guest goes on here.</summary>
    Refusing,

    /// <summary>The guest is being resumed.</summary>
    Resuming,

    /// <summary>Another host owns the machine; the copy is being destroyed.</summary>
    Destroying,

    /// <summary>Nothing of the operation is left here.</summary>
    Released,
}

/// <summary>One replica, as the source sees it.</summary>
public sealed record SourceReplica(ConnectReplica Command)
{
    public int Replica => Command.Replica;

    /// <summary>True once the migration stream is open.</summary>
    public bool Connected { get; init; }

    /// <summary>True while it waits between two rounds because the guest is suspended for a sibling.</summary>
    public bool Waiting { get; init; }

    /// <summary>True once it ended.</summary>
    public bool Ended { get; init; }

    public ReplicaCounters Counters { get; init; } = ReplicaCounters.None;

    /// <summary>The replica as the judge of costs knows it.</summary>
    public Sibling Sibling { get; init; } = new(Command.Replica, Command.MemoryBytes);

    /// <summary>The same replica, further on.</summary>
    /// <param name="counters">What it has cost.</param>
    /// <param name="progress">What is left and how fast it goes; null where nobody has measured it: then what was known stays.</param>
    public SourceReplica At(ReplicaCounters counters, ReplicaProgress? progress) => this with
    {
        Counters = counters,
        Sibling = Sibling with
        {
            Now = new ReplicaStanding(
                counters.ElapsedMs / 1000,
                counters.BytesSent,
                counters.CpuMs / 1000,
                progress?.RemainingBytes ?? Sibling.Now.RemainingBytes,
                progress?.AcknowledgedBytesPerSecond ?? Sibling.Now.AcknowledgedBytesPerSecond),
        },
    };

    /// <summary>The same replica with a round more.</summary>
    public SourceReplica AfterRound(long remainingBytes)
    {
        Sibling after = Sibling;
        after.EndRound(remainingBytes, ProgressOptions.Default);
        return this with { Sibling = after };
    }
}

/// <summary>The source agent's side of one operation.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="VmId">The machine.</param>
/// <param name="HostId">This host.</param>
/// <param name="Epoch">Epoch that the operation was opened in.</param>
/// <param name="OwnershipVersion">Version of <c>vm-{VmId}</c> that the next vote is given at. No vote is ever given twice at one version.</param>
public sealed record SourceState(Guid OperationId, string VmId, string HostId, int Epoch, long OwnershipVersion)
{
    public SourcePhase Phase { get; init; } = SourcePhase.Copying;

    /// <summary>
    /// True once the event stream was read since this state began, and names this operation as open in this epoch. Only then is the guest here the one that the
    /// operation is about, and not, because a command came late, one that has left and returned. Before, it is not suspended.
    /// </summary>
    public bool Confirmed { get; init; }

    /// <summary>True while a read is under way that was asked for before a migration stream was open: its answer does not confirm anything.</summary>
    public bool AnswerIsOld { get; init; }

    /// <summary>How often the guest was resumed during the operation. An image is valid for one incarnation only.</summary>
    public int Incarnation { get; init; }

    /// <summary>The replica that the guest is suspended for; null while it runs.</summary>
    public int? Candidate { get; init; }

    /// <summary>Why the candidate is one.</summary>
    public Reason? CandidateReason { get; init; }

    /// <summary>Digest that the candidate's target reported.</summary>
    public string Digest { get; init; } = "";

    public ImmutableSortedDictionary<int, SourceReplica> Replicas { get; init; } = ImmutableSortedDictionary<int, SourceReplica>.Empty;

    /// <summary>When the guest was told to stop; null while it runs.</summary>
    public DateTimeOffset? SuspendedAt { get; init; }

    /// <summary>When the vote was given.</summary>
    public DateTimeOffset? VotedAt { get; init; }

    /// <summary>Rate at which the guest dirties its memory, as the last round saw it.</summary>
    public double DirtyBytesPerSecond { get; init; }

    /// <summary>Milliseconds that the guest stood still so far.</summary>
    public double DowntimeMs { get; init; }

    /// <summary>True once the operation is over and the source has been told to let go.</summary>
    public bool ReleaseAsked { get; init; }

    /// <summary>What was last appended or read without an answer; null when nothing is outstanding. It is tried again at the next tick.</summary>
    public SourceEffect? Unanswered { get; init; }

    /// <summary>Set once the source has let go: true when its copy was destroyed.</summary>
    public bool? Destroyed { get; init; }

    /// <summary>Replicas that still run.</summary>
    public IEnumerable<SourceReplica> Live => Replicas.Values.Where(replica => !replica.Ended);

    /// <summary>True while a target may hold a complete image of the guest as it stands still here.</summary>
    public bool ImageMayBeOut => Phase is SourcePhase.Finishing or SourcePhase.Journaling or SourcePhase.Voted or SourcePhase.Refusing;

    /// <summary>
    /// True while a guest that stands still does so for this operation and for nobody's image: it may go on when its agent stops. While the operation copies, a guest that stands still
    /// does so for another operation, whose vote may be out.
    /// </summary>
    public bool MayGoOnUnasked => Phase is SourcePhase.Suspending or SourcePhase.Resuming;

    /// <summary>True from the vote on until its fate is known.</summary>
    public bool VoteIsOut => Phase is SourcePhase.Voted or SourcePhase.Refusing;
}
