using SpecMesh.Contracts;

namespace SpecMesh.Hypervisors;

/// <summary>
/// Shows that a host owns a machine. Only an answer of the ownership event stream that names the host makes one, and no driver lets a guest begin to run without one that names the
/// guest: so a target runs a machine only after its own commit.
/// </summary>
public sealed class DurableCommit
{
    private DurableCommit(OwnershipView view) => View = view;

    private OwnershipView View { get; }

    /// <summary>The epoch that the host owns the machine in.</summary>
    public int Epoch => View.Epoch;

    /// <summary>What an answered append, or a read, of a machine's ownership event stream shows.</summary>
    /// <exception cref="HypervisorException">The event stream does not say that this host owns the machine.</exception>
    public static DurableCommit Of(OwnershipView view, string hostId) => view.OwnerHostId == hostId
        ? new DurableCommit(view)
        : throw new HypervisorException($"{view.VmId} belongs to {view.OwnerHostId ?? "nobody"}, and not to {hostId}.");

    /// <summary>True when it is this guest that the machine's owner may run: the replica that has won, or a guest that belongs to no operation.</summary>
    public bool Names(GuestTag tag) =>
        tag.VmId == View.VmId && tag.Epoch <= View.Epoch && (tag.OperationId is null || (tag.OperationId == View.OwnerOperationId && tag.Replica == View.OwnerReplica));

    /// <summary>Refuses any other guest.</summary>
    /// <exception cref="HypervisorException">The commit is another guest's.</exception>
    public void Require(GuestTag tag)
    {
        if (!Names(tag))
        {
            throw new HypervisorException(
                $"{View.VmId} belongs to replica {View.OwnerReplica} of {View.OwnerOperationId} in epoch {View.Epoch}, and not to replica {tag.Replica} of {tag.OperationId} of {tag.VmId} in epoch {tag.Epoch}.");
        }
    }
}
