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

/// <summary>The vote is given without having been written down.</summary>
internal sealed class VoteIsNotJournaled : Mutator
{
    public override bool JournalsVotes => false;
}

/// <summary>The source takes the answer to an earlier refusal for the answer to this one.</summary>
internal sealed class SourceBelievesAnyRefusalAnswer : Mutator
{
    public override SourceInput Hear(SourceInput input, SourceState state) =>
        input is SourceInput.RefusalAnswered { Answer: { Accepted: true } answer } && state.Phase == SourcePhase.Refusing
            ? new SourceInput.RefusalAnswered(answer with { View = answer.View with { Version = Math.Max(answer.View.Version, state.OwnershipVersion + 1) } })
            : input;
}
