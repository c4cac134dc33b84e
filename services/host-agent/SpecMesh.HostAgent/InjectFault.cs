using SpecMesh.Contracts;

namespace SpecMesh.HostAgent;

/// <summary>Breaks something on purpose, where the configuration allows it.</summary>
internal static class InjectFaultHandler
{
    public static void Handle(Agent agent, InjectFault command)
    {
        if (!agent.Options.AllowFaultInjection)
        {
            agent.Logger.FaultRefused(command.Fault);
            return;
        }

        agent.Faults.Set(command);
        agent.Logger.FaultInjected(command.Fault, command.AfterBytes, command.BytesPerSecond);
    }
}
