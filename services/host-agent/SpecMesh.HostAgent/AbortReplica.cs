using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>Ends a replica, on the target's side or on the source's. A target that knows nothing of it says that nothing is left.</summary>
internal static class AbortReplicaHandler
{
    public static void Handle(Agent agent, AbortReplica command)
    {
        if (agent.Target(command.OperationId, command.Replica) is { } target)
        {
            target.Post(new TargetInput.Abort(command));
        }
        else if (agent.Source(command.OperationId) is { } source)
        {
            source.Post(new SourceInput.Abort(command));
        }
        else if (!agent.HasWon(command.OperationId, command.Replica))
        {
            // The start command may still be on its way: it must find the replica ended.
            agent.MarkEnded(command.OperationId, command.Replica);
            agent.Reports.Tell(new ReplicaCleaned(command.OperationId, command.Replica, command.HostId));
        }
    }
}
