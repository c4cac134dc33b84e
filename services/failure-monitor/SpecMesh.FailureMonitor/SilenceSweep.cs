using Microsoft.Extensions.Options;
using SpecMesh.Contracts;
using SpecMesh.Hosting;

namespace SpecMesh.FailureMonitor;

/// <summary>Looks at all silences once per heartbeat and sends this service a deadline for each that is too long. Deciding is left to <see cref="SilentHost"/>, where it is durable.</summary>
internal sealed class SilenceSweep(HostWatch watch, MessageBus bus, TimeProvider time, IOptions<FailureMonitorOptions> options, ILogger<SilenceSweep> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using PeriodicTimer timer = new(options.Value.Heartbeat, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                foreach (HeartbeatDeadline overdue in watch.Overdue(options.Value.SuspectAfter))
                {
                    await bus.SendAsync(FailureMonitorService.Queue, overdue, stoppingToken);
                }
            }
            catch (Exception exception) when (!stoppingToken.IsCancellationRequested)
            {
                // The bus is away; the next sweep finds the same silences again.
                Log.SweepFailed(logger, exception);
            }
        }
    }
}
