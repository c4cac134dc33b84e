using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Placement;

/// <summary>
/// Use case: an agent beats. Only a new host, a changed capacity, and an allocation that its beats have contradicted for long are recorded; the beat itself stays in memory.
/// </summary>
internal static class RegisteredHost
{
    public static async Task HandleAsync(HostHeartbeat beat, HandlerContext context, CancellationToken cancellationToken)
    {
        HostsView view = context.Services.GetRequiredService<HostsView>();
        IReadOnlyList<string> contradicted = view.Heard(beat, context.Now);
        HostState seen = view.Hosts.GetValueOrDefault(beat.HostId)?.State ?? HostState.Unknown(beat.HostId);
        if (HostDecider.Decide(seen, beat).Events.Count == 0 && contradicted.Count == 0)
        {
            return;
        }

        HostState host = await context.LoadHostAsync(beat.HostId, cancellationToken);
        List<object> events = [.. HostDecider.Decide(host, beat).Events];
        foreach (string vmId in contradicted)
        {
            MachineFacts machine = await context.LoadMachineAsync(vmId, cancellationToken);
            events.AddRange(AllocationDecider.Decide(host, beat, machine).Events);
        }

        context.Do(beat.HostId, new Decision(events, []), beat);
        ILogger logger = context.Services.GetRequiredService<ILogger<HostsView>>();
        context.AfterCommit(() => events.ForEach(@event => Tell(logger, @event)));
    }

    private static void Tell(ILogger logger, object @event)
    {
        switch (@event)
        {
            case HostRegistered e: Log.HostRegistered(logger, e.HostId, e.FailureDomain, e.MemoryBytes); break;
            case VmDeallocated e: Log.GuestGone(logger, e.VmId, e.HostId, GuestSightings.Patience); break;
            case VmAllocated e: Log.GuestFound(logger, e.VmId, e.HostId, GuestSightings.Patience, e.MemoryBytes); break;
        }
    }
}
