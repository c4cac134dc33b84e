using SpecMesh.Contracts;

namespace SpecMesh.Hypervisors.Xen.Receiving;

/// <summary>Which replica a receiver holds.</summary>
/// <param name="VmId">The machine.</param>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">Number of the replica.</param>
/// <param name="HostId">This host.</param>
public sealed record ReplicaClaim(string VmId, Guid OperationId, int Replica, string HostId);

/// <summary>
/// Shows that the commit of a replica is durable. Only an answer of the ownership event stream that names this very replica as the owner makes one, and nothing that lets a
/// received domain run is possible without one.
/// </summary>
public sealed class DurableCommit
{
    private DurableCommit(ReplicaClaim claim, int epoch) => (Claim, Epoch) = (claim, epoch);

    /// <summary>The replica that has won.</summary>
    public ReplicaClaim Claim { get; }

    /// <summary>The epoch that it owns the machine in.</summary>
    public int Epoch { get; }

    /// <summary>What an answered append, or a read, of the machine's ownership event stream shows.</summary>
    /// <exception cref="InvalidOperationException">The event stream does not say that this replica owns the machine.</exception>
    public static DurableCommit Of(OwnershipView view, ReplicaClaim claim)
    {
        if (view.VmId != claim.VmId || view.OwnerHostId != claim.HostId || view.OwnerOperationId != claim.OperationId || view.OwnerReplica != claim.Replica)
        {
            throw new InvalidOperationException(
                $"{view.VmId} belongs to replica {view.OwnerReplica} of {view.OwnerOperationId} on {view.OwnerHostId}, and not to replica {claim.Replica} of {claim.OperationId} on {claim.HostId}.");
        }

        return new DurableCommit(claim, view.Epoch);
    }
}
