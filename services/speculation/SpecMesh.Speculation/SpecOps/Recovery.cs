using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>What an agent finds of one guest when it starts again: the guest's own tag, its state, and what the journal says.</summary>
/// <param name="VmId">The machine.</param>
/// <param name="HostId">This host.</param>
/// <param name="State">How the guest stands.</param>
/// <param name="ShellOf">The operation and replica that the guest is a shell of; null when this host owned the machine before.</param>
/// <param name="ShellEpoch">Epoch that the shell was built in.</param>
/// <param name="Vote">The vote that the journal holds for this machine; null when none was given.</param>
public sealed record FoundGuest(string VmId, string HostId, GuestState State, (Guid OperationId, int Replica)? ShellOf, int ShellEpoch, JournaledVote? Vote);

/// <summary>A vote as it lies in the journal of a source.</summary>
public sealed record JournaledVote(Guid OperationId, int Replica, string TargetHostId, int Epoch, long OwnershipVersion, int Incarnation, string Digest);

/// <summary>What to do with a guest that was found.</summary>
public enum RecoveryAction
{
    /// <summary>It runs and it may.</summary>
    Adopt,

    /// <summary>It is ours and stands still: let it run.</summary>
    Resume,

    /// <summary>The event stream names another host, or the replica lost: destroy it.</summary>
    Destroy,

    /// <summary>A vote is out: append a refusal, then decide again.</summary>
    RefuseFirst,

    /// <summary>The operation is open and undecided: keep the paused shell until it is.</summary>
    Keep,
}

/// <summary>After a crash an agent reads its journal and the event stream before it touches any guest.</summary>
public static class Recovery
{
    /// <summary>Decides about one guest.</summary>
    public static (RecoveryAction Action, Reason Reason) Decide(FoundGuest guest, OwnershipView view)
    {
        bool committedHere = guest.ShellOf is not { } shell || (view.OwnerOperationId == shell.OperationId && view.OwnerReplica == shell.Replica);
        if (view.OwnerHostId == guest.HostId && committedHere)
        {
            return DecideOwned(guest, view);
        }

        bool undecided = guest.ShellOf is { } waiting && view.OpenOperationId == waiting.OperationId && view.Epoch == guest.ShellEpoch;
        return undecided
            ? (RecoveryAction.Keep, new Reason("undecided", "The operation is open and has no winner yet."))
            : (RecoveryAction.Destroy, new Reason("not-owner", $"The operation is over, and {view.OwnerHostId ?? "nobody"} owns {guest.VmId}."));
    }

    private static (RecoveryAction, Reason) DecideOwned(FoundGuest guest, OwnershipView view)
    {
        if (guest.State == GuestState.Running)
        {
            return (RecoveryAction.Adopt, new Reason("owner", "This host owns the machine and runs it."));
        }

        bool voteIsOut = guest.Vote is { } vote && vote.Epoch == view.Epoch && vote.OwnershipVersion == view.Version;
        return voteIsOut
            ? (RecoveryAction.RefuseFirst, new Reason("vote-out", "A vote was given and may still win."))
            : (RecoveryAction.Resume, new Reason("owner", "This host owns the machine, and no vote can win any more."));
    }
}
