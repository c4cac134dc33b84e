using SpecMesh.Contracts;

namespace SpecMesh.HostAgent;

/// <summary>
/// Nobody has heard of the winner since its commit: its report was lost with a queue. A replica that is still here reports when it is through; a guest that waits for a word of the
/// event stream is asked for again.
/// </summary>
internal static class ConfirmReplicaHandler
{
    public static void Handle(Agent agent, ConfirmReplica command)
    {
        if (agent.HasWon(command.OperationId, command.Replica))
        {
            agent.Reports.Tell(new ReplicaResumed(command.OperationId, command.Replica, command.HostId, agent.Time.GetUtcNow()));
        }
        else if (agent.Target(command.OperationId, command.Replica) is null && !agent.HasGuestOf(command.VmId))
        {
            Reason gone = new("not-here", "The winner's guest has ended since its commit.");
            agent.Reports.Tell(new WinnerLost(command.OperationId, command.Replica, command.HostId, gone));
        }
    }
}
