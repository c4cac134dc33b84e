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
}
