using SpecMesh.Contracts;
using SpecMesh.Protocol.Tests.Hosts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests.Faults;

/// <summary>Where a test breaks one rule of the protocol or of the data path, to show that the checks see it. This one breaks none.</summary>
internal class Mutator
{
    public static Mutator None { get; } = new();

    /// <summary>True: a vote is on disk before it is given.</summary>
    public virtual bool JournalsVotes => true;

    /// <summary>True: a target starts its guest when it is voted for, before it has committed.</summary>
    public virtual bool TargetRunsOnVote => false;

    /// <summary>True: the store appends to a machine's event stream at whatever version it is.</summary>
    public virtual bool StoreIgnoresVersions => false;

    /// <summary>True: deadlines are taken back with an operation's outcome.</summary>
    public virtual bool StoreTakesBackEarly => false;

    /// <summary>True: an agent hears an answer that comes after it has given the call up.</summary>
    public virtual bool HearsLateAnswers => false;

    /// <summary>True: a target destroys its complete image when somebody ends the replica, without asking the event stream.</summary>
    public virtual bool DestroysImagesOnAbort => false;

    /// <summary>The version that a source's last record says that its image belongs to.</summary>
    public virtual long ImageVersion(long ownershipVersion) => ownershipVersion;

    public virtual SourceInput Hear(SourceInput input, SourceState state) => input;

    public virtual SourceState Stepped(SourceState before, SourceState after) => after;

    /// <summary>What a source believes of a refusal that was never appended; null: it is appended.</summary>
    public virtual SourceInput? RefusalWithoutAppend(SourceSide side, SourceState state, SourceEffect.AppendRefusal refusal) => null;

    /// <summary>True: the source lets the guest run at once, where it should refuse first.</summary>
    public virtual bool ResumesInsteadOfRefusing(SourceEffect.AppendRefusal refusal) => false;

    public virtual void VoteSent(SourceSide side)
    {
    }

    public virtual TransferOwnership Asked(TransferOwnership request, OwnershipView view) => request;

    public virtual DirtyPages DirtyPagesOf(Guest guest, TimeProvider time) => new(guest, time);

    public virtual void Suspend(Guest guest) => guest.Become(GuestState.Suspended);
}
