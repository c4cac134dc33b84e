using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Placement;

/// <summary>What is recorded of a host itself.</summary>
public static class HostDecider
{
    /// <summary>A beat is recorded only when the host is new or its capacity changed. A host without memory for guests is not registered.</summary>
    public static Decision Decide(HostState state, HostHeartbeat beat)
    {
        bool same = state.MemoryBytes == beat.MemoryBytes && state.FailureDomain == beat.FailureDomain;
        return same || beat.MemoryBytes <= 0
            ? Decision.Nothing
            : new Decision([new HostRegistered(beat.HostId, beat.FailureDomain, beat.MemoryBytes)], []);
    }

    /// <summary>Maintenance begins or ends. Asked again it changes nothing, and a host that was never heard of has no event stream to begin.</summary>
    public static Decision Decide(HostState state, SetHostMaintenance command) =>
        !state.IsRegistered || state.InMaintenance == command.InMaintenance
            ? Decision.Nothing
            : new Decision([new HostMaintenanceChanged(state.HostId, command.InMaintenance, command.RequestedBy)], []);

    /// <summary>
    /// The host is confirmed dead. Only one that is silent can be: whatever an operator believes, a host that is heard runs its machines, and they would run twice.
    /// </summary>
    /// <returns>The decision, or why the confirmation is refused.</returns>
    public static (Decision Decision, Reason? Refusal) Decide(HostState state, FenceHost command, Reason? suspicion)
    {
        if (!state.IsRegistered)
        {
            return (Decision.Nothing, new Reason("unknown-host", $"There is no host {command.HostId}."));
        }

        if (state.Fenced is not null)
        {
            return (Decision.Nothing, null);
        }

        if (suspicion is null)
        {
            return (Decision.Nothing, new Reason("host-alive", $"{command.HostId} is not silent. Power it off, or cut it off from its network and disks, before you confirm that it is dead."));
        }

        HostFenced fenced = new(state.HostId, command.RequestedBy ?? "an operator", suspicion);
        return (new Decision([fenced], [new Effect(fenced)]), null);
    }
}
