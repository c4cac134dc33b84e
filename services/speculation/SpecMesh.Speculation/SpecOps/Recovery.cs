using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>What an agent finds of one guest when it starts again: the guest's own tag, its state, and what the journal says.</summary>
/// <param name="VmId">The machine.</param>
/// <param name="HostId">This host.</param>
/// <param name="State">How the guest stands.</param>
/// <param name="ShellOf">The operation and replica that the guest was built for, as its tag says; null when it has none.</param>
/// <param name="ShellEpoch">Epoch that the shell was built in.</param>
/// <param name="Vote">The vote that the journal holds for this guest; null when none was given. It is looked at on tagged guests too: who won once may be voted away later.</param>
/// <param name="ImageVersion">Version that the complete image in this shell belongs to, as the journal says; null when the shell holds none.</param>
/// <param name="RefusedAt">Version that this agent has appended its refusal after, since it started; null before.</param>
/// <param name="JournalWasThere">False when the agent has found no journal: then a record that is missing says nothing.</param>
public sealed record FoundGuest(
    string VmId,
    string HostId,
    GuestState State,
    (Guid OperationId, int Replica)? ShellOf,
    int ShellEpoch,
    JournaledVote? Vote,
    long? ImageVersion = null,
    long? RefusedAt = null,
    bool JournalWasThere = true);

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

    /// <summary>It stands still for a migration, so a vote or a complete image may be out: append a refusal, then decide again.</summary>
    RefuseFirst,

    /// <summary>Undecided, or nothing is known: leave the guest as it is, and decide again when the event stream says more.</summary>
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

        if (view.Version == 0 || (view.OwnerHostId is null && guest.ShellOf is null))
        {
            // No event gives the machine to another host. An emptied or a wrong database must not cost it its memory.
            return (RecoveryAction.Keep, new Reason("no-owner", $"No event names an owner of {guest.VmId}, so nothing about it is undone."));
        }

        if (guest.ShellOf is not null && view.Epoch < guest.ShellEpoch)
        {
            return (RecoveryAction.Keep, new Reason("older-database", $"The event stream ends before epoch {guest.ShellEpoch}, in which this guest was built.", view.Epoch, guest.ShellEpoch));
        }

        bool undecided = guest.ShellOf is { } waiting && view.OpenOperationId == waiting.OperationId && view.Epoch == guest.ShellEpoch;
        if (undecided)
        {
            return guest.State == GuestState.Running
                ? (RecoveryAction.Destroy, new Reason("uncommitted", "The shell runs without a commit."))
                : (RecoveryAction.Keep, new Reason("undecided", "The operation is open and has no winner yet."));
        }

        if (guest is { ShellOf: not null, State: GuestState.Paused, ImageVersion: { } version } && view.OwnerHostId is not null && !OwnershipDecider.IsVoid(view, guest.ShellEpoch, version))
        {
            return (RecoveryAction.Keep, new Reason("image-valid", $"The operation is over, but {view.OwnerHostId} has not said that it goes on without this image."));
        }

        return (RecoveryAction.Destroy, new Reason("not-owner", $"The operation is over, and {view.OwnerHostId ?? "nobody"} owns {guest.VmId}."));
    }

    private static (RecoveryAction, Reason) DecideOwned(FoundGuest guest, OwnershipView view)
    {
        if (view.Recovery is { } image)
        {
            return (RecoveryAction.Keep, new Reason("recovering", $"This host was confirmed dead, and the machine is being recovered from {image.HostId}."));
        }

        if (guest.State == GuestState.Running)
        {
            return (RecoveryAction.Adopt, new Reason("owner", "This host owns the machine and runs it."));
        }

        if (guest is { ShellOf: not null, State: GuestState.Paused, ImageVersion: null })
        {
            // An image is on record before its READY, and a guest that has run is not paused. So this shell was built again, by a command that came late to a host that had lost its winner.
            return guest.JournalWasThere
                ? (RecoveryAction.Destroy, new Reason("empty-shell", "The replica has won, but this shell of it never held the machine's memory."))
                : (RecoveryAction.Keep, new Reason("no-journal", "The replica has won, and without a journal nobody knows whether this shell holds the machine's memory."));
        }

        if (guest.ShellOf is null && guest.Vote is { } old && old.Epoch < view.Epoch)
        {
            // The machine was voted away and has come back as another guest, so this one is its past.
            return (RecoveryAction.Destroy, new Reason("old-copy", $"The machine has been owned elsewhere since this copy was voted for, in epoch {old.Epoch}.", old.Epoch, view.Epoch));
        }

        if (guest.Vote is { } vote && vote.Epoch >= view.Epoch && vote.OwnershipVersion > view.Version)
        {
            return (RecoveryAction.Keep, new Reason("older-database", "The event stream ends before the version that this guest was voted away at.", view.Version, vote.OwnershipVersion));
        }

        bool stoodStill = guest.State == GuestState.Suspended || guest.Vote?.Epoch == view.Epoch;
        bool mayBeElsewhere = stoodStill && !(guest.RefusedAt is { } refused && view.VoidedVersion > refused);
        return mayBeElsewhere
            ? (RecoveryAction.RefuseFirst, new Reason("image-out", "The guest stands still for a migration: a vote or a complete image may be out."))
            : (RecoveryAction.Resume, new Reason("owner", "This host owns the machine, and nothing else can become it any more."));
    }
}
