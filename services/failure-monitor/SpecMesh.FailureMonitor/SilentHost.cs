using Microsoft.Extensions.Options;
using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.Health;

namespace SpecMesh.FailureMonitor;

/// <summary>Use case: a host should have beaten by now. It may have, while the deadline was on its way: only the silence at this moment counts.</summary>
internal static class SilentHost
{
    public static Task HandleAsync(HeartbeatDeadline deadline, HandlerContext context, CancellationToken cancellationToken)
    {
        if (context.Services.GetRequiredService<HostWatch>().SilenceOf(deadline.HostId) is not { } silence)
        {
            return Task.CompletedTask;
        }

        TimeSpan limit = context.Services.GetRequiredService<IOptions<FailureMonitorOptions>>().Value.SuspectAfter;
        return context.DecideAsync(deadline.HostId, silence, health => HealthDecider.Decide(health, silence, limit), cancellationToken);
    }
}
