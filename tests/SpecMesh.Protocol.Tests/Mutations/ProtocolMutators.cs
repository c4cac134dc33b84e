using SpecMesh.Contracts;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Protocol.Tests.Hosts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests.Mutations;

/// <summary>DESIGN section 7: "letting the source resume on a time-out". It takes its refusal for appended without appending it.</summary>
internal sealed class SourceResumesOnTimeout : Mutator
{
    public override SourceInput RefusalWithoutAppend(SourceSide side, SourceState state, SourceEffect.AppendRefusal refusal)
    {
        OwnershipView view = OwnershipDecider.Unknown(side.VmId) with
        {
            OwnerHostId = state.HostId,
            Epoch = state.Epoch,
            Version = refusal.OwnershipVersion + 1,
            OpenOperationId = state.OperationId,
        };
        return new SourceInput.RefusalAnswered(new OwnershipAnswer(true, view, null));
    }
}

/// <summary>"vote twice": the source does not move on to a later version for its next vote.</summary>
internal sealed class SourceVotesTwice : Mutator
{
    public override SourceState Stepped(SourceState before, SourceState after) =>
        after with { OwnershipVersion = Math.Min(before.OwnershipVersion > 0 ? before.OwnershipVersion : after.OwnershipVersion, after.OwnershipVersion) };
}

/// <summary>"destroy early": the source destroys its copy when it has voted.</summary>
internal sealed class SourceDestroysEarly : Mutator
{
    public override void VoteSent(SourceSide side) => side.Guest!.Become(null);
}

/// <summary>"a target run on a vote".</summary>
internal sealed class TargetRunsOnItsVote : Mutator
{
    public override bool TargetRunsOnVote => true;
}

/// <summary>"or append without an expected version".</summary>
internal sealed class AppendsWithoutExpectedVersion : Mutator
{
    public override bool StoreIgnoresVersions => true;

    public override TransferOwnership Asked(TransferOwnership request, OwnershipView view) => request with { ExpectedVersion = view.Version, Epoch = view.Epoch };
}

/// <summary>The source lets the guest run again after its last pages without a refusal of its own, so that a target holds an image of the past that no event makes void.</summary>
internal sealed class ResumesFromFinishingWithoutRefusal : Mutator
{
    public override bool ResumesInsteadOfRefusing(SourceEffect.AppendRefusal refusal) => refusal.Reason.Code == "candidate-ended";

    public override SourceState Stepped(SourceState before, SourceState after) =>
        before.Phase == SourcePhase.Finishing && after.Phase == SourcePhase.Refusing
            ? after with { Phase = SourcePhase.Resuming, Incarnation = after.Incarnation + 1, Candidate = null, SuspendedAt = null, Unanswered = null, Digest = "" }
            : after;
}

/// <summary>A target destroys its complete image when the replica is ended, although it may be the only one left.</summary>
internal sealed class ImageDestroyedOnAbort : Mutator
{
    public override bool DestroysImagesOnAbort => true;
}

/// <summary>An image says that it belongs to a version that no refusal ever passes, so that it is recovered from although the guest has run on.</summary>
internal sealed class RecoversFromVoidImage : Mutator
{
    public override long ImageVersion(long ownershipVersion) => long.MaxValue / 2;
}

/// <summary>The deadlines of an operation are taken back with its outcome, when the clean-up may still have to be asked for again.</summary>
internal sealed class DeadlinesTakenBackAtCompletion : Mutator
{
    public override bool StoreTakesBackEarly => true;
}

/// <summary>A source takes an answer to an earlier refusal, which comes late, for the answer to the one that it waits for.</summary>
internal sealed class SourceBelievesAnyRefusalAnswer : Mutator
{
    public override bool HearsLateAnswers => true;

    public override SourceInput Hear(SourceInput input, SourceState state) =>
        input is SourceInput.RefusalAnswered { Answer: { Accepted: true } answer } && state.Phase == SourcePhase.Refusing
            ? new SourceInput.RefusalAnswered(answer with { View = answer.View with { Version = Math.Max(answer.View.Version, state.OwnershipVersion + 1) } })
            : input;
}
