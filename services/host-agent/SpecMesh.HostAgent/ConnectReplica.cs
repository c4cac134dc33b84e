using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>A replica joins the race that this host is the source of. One whose machine does not run here fails at once, and leaves nothing.</summary>
internal static class ConnectReplicaHandler
{
    public static void Handle(Agent agent, ConnectReplica command)
    {
        if (agent.HasEnded(command.OperationId, command.Replica))
        {
            return;
        }

        if (agent.Source(command.OperationId) is null && agent.Owned(command.VmId) is null)
        {
            Reason reason = new("machine-not-here", $"{command.VmId} does not run on {agent.Options.HostId}.");
            agent.Tell(new ReplicaFailed(command.OperationId, command.Replica, command.Epoch, command.TargetHostId, reason, ReplicaCounters.None), command.Epoch);
            return;
        }

        agent.SourceOf(command.OperationId, command.VmId, command.Epoch, command.OwnershipVersion).Post(new SourceInput.Join(command));
    }
}
