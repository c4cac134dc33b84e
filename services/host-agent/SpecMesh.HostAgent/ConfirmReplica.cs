using SpecMesh.Contracts;

namespace SpecMesh.HostAgent;

/// <summary>
/// Nobody has heard of the winner since its commit: its report was lost with a queue. A replica that is not through yet reports by itself, and the machine of a guest that is gone
/// is given up by the reconciliation.
/// </summary>
internal static class ConfirmReplicaHandler
{
    public static void Handle(Agent agent, ConfirmReplica command)
    {
        if (agent.HasWon(command.OperationId, command.Replica))
        {
            agent.Reports.Tell(new ReplicaResumed(command.OperationId, command.Replica, command.HostId, agent.Time.GetUtcNow()));
        }
    }
}
