using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace SpecMesh.HostAgent;

/// <summary>Runs one agent: self-test, recovery, then reports and heartbeats until the process stops.</summary>
internal sealed class AgentWorker(Agent agent, AgentGate gate) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            agent.Capabilities = await agent.Hypervisor.ProbeAsync(stoppingToken);
            agent.Logger.SelfTested(agent.Hypervisor.Name, agent.Capabilities.DirtyTracker ?? "none");
            await Recover.RunAsync(agent, stoppingToken);
            gate.Open();
            await Task.WhenAll(agent.Reports.RunAsync(stoppingToken), new Heartbeat(agent).RunAsync(stoppingToken), agent.Reconciler.RunAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            agent.Logger.Stopping(agent.Options.HostId);
            await agent.DisposeAsync();
        }
        catch (Exception error)
        {
            gate.Fail(error);
            throw;
        }
    }
}

/// <summary>Commands wait here until the agent has recovered.</summary>
internal sealed class AgentGate
{
    private readonly TaskCompletionSource opened = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public bool IsOpen => opened.Task.IsCompletedSuccessfully;

    public Task WaitAsync(CancellationToken cancellationToken) => opened.Task.WaitAsync(cancellationToken);

    public void Open() => opened.TrySetResult();

    public void Fail(Exception error) => opened.TrySetException(error);
}

/// <summary>Ready once the agent has recovered and takes commands.</summary>
internal sealed class AgentHealth(AgentGate gate) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(gate.IsOpen ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy("The agent has not recovered yet, or its self-test failed."));
}
