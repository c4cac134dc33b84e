using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>The source of a replica is confirmed dead: the complete image that this host holds may become the machine. A host that holds nothing says so.</summary>
internal static class CommitReplicaHandler
{
    public static void Handle(Agent agent, CommitReplica command)
    {
        if (agent.Target(command.OperationId, command.Replica) is { } target)
        {
            target.Post(new TargetInput.CommitGranted(command));
        }
        else if (!agent.HasWon(command.OperationId, command.Replica))
        {
            agent.MarkEnded(command.OperationId, command.Replica);
            agent.Reports.Tell(new ReplicaCleaned(command.OperationId, command.Replica, command.HostId));
        }
    }
}
