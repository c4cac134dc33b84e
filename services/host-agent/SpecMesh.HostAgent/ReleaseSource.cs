using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>
/// The operation has ended: the source asks the event stream what its copy is to become. One that has let go before repeats what it said then, with its downtime and counters;
/// one that never joined says that it holds nothing.
/// </summary>
internal static class ReleaseSourceHandler
{
    public static void Handle(Agent agent, ReleaseSource command)
    {
        if (agent.ReleasedBefore(command.OperationId) is { } said)
        {
            agent.Tell(said, command.Epoch);
            return;
        }

        agent.SourceOf(command.OperationId, command.VmId, command.Epoch, 0).Post(new SourceInput.Release());
    }
}
