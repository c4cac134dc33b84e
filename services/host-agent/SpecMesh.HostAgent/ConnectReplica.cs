using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>A replica joins the race that this host is the source of.</summary>
internal static class ConnectReplicaHandler
{
    public static void Handle(Agent agent, ConnectReplica command) =>
        agent.SourceOf(command.OperationId, command.VmId, command.Epoch, command.OwnershipVersion).Post(new SourceInput.Join(command));
}
