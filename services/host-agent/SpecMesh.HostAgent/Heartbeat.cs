using SpecMesh.Contracts;

namespace SpecMesh.HostAgent;

/// <summary>Says that the host lives, and what is on it. Starts once recovery is over: before that the agent takes no command.</summary>
internal sealed class Heartbeat(Agent agent)
{
    private long sequence;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using PeriodicTimer timer = new(agent.Options.HeartbeatInterval, agent.Time);
        do
        {
            HostAgentOptions options = agent.Options;
            agent.Publish(new HostHeartbeat(
                options.HostId,
                options.FailureDomain,
                options.MemoryBytes,
                agent.DataEndpoint,
                agent.Hypervisor.Name,
                agent.Capabilities?.DirtyTracker,
                agent.Guests,
                ++sequence,
                agent.Time.GetUtcNow()));
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }
}
