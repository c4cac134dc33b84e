using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>What an agent does about one machine after it has compared what is on its host with the event stream.</summary>
public enum ReconciliationAction
{
    /// <summary>All is as recorded, or somebody else sees to it.</summary>
    Nothing,

    /// <summary>The guest is a past one: another host, or nobody, owns the machine in a later epoch.</summary>
    Destroy,

    /// <summary>This host owns the machine and has no guest of it: the ownership is given up.</summary>
    Release,

    /// <summary>This host owns the machine and finds no guest of it, but cannot know that there is none.</summary>
    Unknown,
}

/// <summary>What is on a host of one machine, looked at after its event stream was read.</summary>
/// <param name="HostId">The host.</param>
/// <param name="Guest">The tag's operation, replica and epoch of the guest that the agent owns; null when it has none.</param>
/// <param name="IsBusy">True while an operation of the machine is under way on this host: its own protocol sees to the guest.</param>
/// <param name="KnowsAll">True when a guest that the agent does not find is surely not there.</param>
public sealed record HostedMachine(string HostId, (Guid? OperationId, int? Replica, int Epoch)? Guest, bool IsBusy, bool KnowsAll);

/// <summary>
/// Compares a host with the event streams, at the agent's start and ever after: a guest may have died, an agent may have been cut off while its machine was recovered elsewhere.
/// Only what is provable is done.
/// </summary>
public static class Reconciliation
{
    /// <summary>Decides about one machine.</summary>
    public static (ReconciliationAction Action, Reason Reason) Decide(HostedMachine machine, OwnershipView view)
    {
        if (machine.IsBusy || view.Version == 0)
        {
            return (ReconciliationAction.Nothing, new Reason("busy", "An operation is under way, or nothing is recorded of the machine."));
        }

        if (machine.Guest is { } guest)
        {
            // A guest was built in the epoch before the one that it owns.
            bool isOwner = view.OwnerHostId == machine.HostId && (guest.OperationId is null || (view.OwnerOperationId == guest.OperationId && view.OwnerReplica == guest.Replica));
            return isOwner || view.Epoch <= guest.Epoch
                ? (ReconciliationAction.Nothing, new Reason("as-recorded", "The guest is as recorded, or the event stream is older than the guest."))
                : (ReconciliationAction.Destroy, new Reason("not-owner", $"{view.OwnerHostId ?? "Nobody"} owns {view.VmId} in epoch {view.Epoch}; this guest is of epoch {guest.Epoch + 1}.", guest.Epoch + 1, view.Epoch));
        }

        if (view.OwnerHostId != machine.HostId || view.OpenOperationId is not null)
        {
            return (ReconciliationAction.Nothing, new Reason("not-here", "The machine is not this host's, or its open operation says what becomes of it."));
        }

        return machine.KnowsAll
            ? (ReconciliationAction.Release, new Reason("guest-gone", $"{machine.HostId} has no guest of {view.VmId} any more."))
            : (ReconciliationAction.Unknown, new Reason("guest-not-found", $"{machine.HostId} owns {view.VmId} and finds no guest of it, but its state directory is new, so one may run there unseen."));
    }
}
