using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Placement;

/// <summary>Use case: an agent beats. Only a new host or a changed capacity is recorded; the beat itself stays in memory.</summary>
internal static class RegisteredHost
{
    public static async Task HandleAsync(HostHeartbeat beat, HandlerContext context, CancellationToken cancellationToken)
    {
        HostsView view = context.Services.GetRequiredService<HostsView>();
        view.Heard(beat);
        HostState seen = view.Hosts.GetValueOrDefault(beat.HostId)?.State ?? HostState.Unknown(beat.HostId);
        if (HostDecider.Decide(seen, beat).Events.Count == 0)
        {
            return;
        }

        Decision decision = HostDecider.Decide(await context.LoadHostAsync(beat.HostId, cancellationToken), beat);
        context.Do(beat.HostId, decision, beat);
        if (decision.Events.Count > 0)
        {
            Log.HostRegistered(context.Services.GetRequiredService<ILogger<HostsView>>(), beat.HostId, beat.FailureDomain, beat.MemoryBytes);
        }
    }
}
