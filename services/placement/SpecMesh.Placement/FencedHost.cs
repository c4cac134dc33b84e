using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Placement;

/// <summary>Use case: an operator, or a fencing device, confirms that a host is dead. What waited for it is released by whoever listens for <see cref="HostFenced"/>.</summary>
internal static class FencedHost
{
    public static async Task HandleAsync(FenceHost command, HandlerContext context, CancellationToken cancellationToken)
    {
        HostState host = await context.LoadHostAsync(command.HostId, cancellationToken);
        Reason? suspicion = context.Services.GetRequiredService<HostsView>().Suspected.GetValueOrDefault(command.HostId);
        (Decision decision, Reason? refusal) = HostDecider.Decide(host, command, suspicion);
        context.Do(command.HostId, decision, command);
        ILogger logger = context.Services.GetRequiredService<ILogger<HostsView>>();
        if (refusal is not null)
        {
            Log.FenceRefused(logger, command.HostId, command.RequestedBy, refusal.Detail);
        }
        else
        {
            context.AfterCommit(() => Log.Fenced(logger, command.HostId, command.RequestedBy));
        }
    }
}
