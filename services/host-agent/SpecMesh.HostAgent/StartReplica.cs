using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>Prepares a paused shell for a replica. A repetition, or a command that comes after the replica's end, changes nothing.</summary>
internal static class StartReplicaHandler
{
    public static void Handle(Agent agent, StartReplica command) => agent.StartTarget(command)?.Post(new TargetInput.Start());
}
