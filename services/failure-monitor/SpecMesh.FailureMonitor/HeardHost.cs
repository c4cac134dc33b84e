using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.Health;

namespace SpecMesh.FailureMonitor;

/// <summary>Use case: an agent beats. Nothing is recorded unless its host was suspected.</summary>
internal static class HeardHost
{
    public static Task HandleAsync(HostHeartbeat message, HandlerContext context, CancellationToken cancellationToken)
    {
        // A suspicion that this process has not read yet is ended by the next beat.
        (BeatHeard beat, bool wasSuspected) = context.Services.GetRequiredService<HostWatch>().Heard(message.HostId);
        return wasSuspected
            ? context.DecideAsync(message.HostId, beat, health => HealthDecider.Decide(health, beat), cancellationToken)
            : Task.CompletedTask;
    }
}
