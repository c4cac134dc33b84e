using SpecMesh.Contracts;

namespace SpecMesh.HostAgent;

/// <summary>Somebody asks the agent to compare its guests with the event streams now, and not only at the next turn.</summary>
internal static class ReconcileHostHandler
{
    public static void Handle(Agent agent, ReconcileHost command)
    {
        if (command.NothingUnknown)
        {
            agent.Reconciler.TrustWhatIsFound();
        }

        agent.Reconciler.Soon();
    }
}
