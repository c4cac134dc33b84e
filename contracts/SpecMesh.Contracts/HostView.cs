namespace SpecMesh.Contracts;

/// <summary>A host as <c>GET /v1/hosts</c> shows it: what is recorded, and its agent's last beat.</summary>
/// <param name="HostId">The host.</param>
/// <param name="FailureDomain">What it shares its faults with.</param>
/// <param name="MemoryBytes">Memory for guests.</param>
/// <param name="AllocatedBytes">Memory of machines that live here.</param>
/// <param name="ReservedBytes">Memory held for replicas.</param>
/// <param name="FreeBytes">What can still be promised; negative when the host shrank below what it holds.</param>
/// <param name="InMaintenance">True: it gets no new replicas.</param>
/// <param name="Suspicion">Why it is suspected; null while it is trusted.</param>
/// <param name="SecondsSinceBeat">Age of the last beat that this service heard; null when it heard none since it started.</param>
/// <param name="DataEndpoint"><c>address:port</c> for migration streams; null before the first beat.</param>
/// <param name="Hypervisor">Name of the driver; null before the first beat.</param>
/// <param name="DirtyTracker">Name of the dirty tracker; null before the first beat, and on a host that cannot be a migration source.</param>
/// <param name="Guests">Guests as the last beat told them.</param>
/// <param name="Reservations">Operations that memory is held for.</param>
/// <param name="Fenced">Why the host is taken for dead for good; null unless that was confirmed.</param>
/// <param name="FailureProbability">Estimate that a replica fails here, from how replicas have ended here, in the failure domain and in the cluster.</param>
public sealed record HostView(
    string HostId,
    string FailureDomain,
    long MemoryBytes,
    long AllocatedBytes,
    long ReservedBytes,
    long FreeBytes,
    bool InMaintenance,
    Reason? Suspicion,
    double? SecondsSinceBeat,
    string? DataEndpoint,
    string? Hypervisor,
    string? DirtyTracker,
    IReadOnlyList<HostedGuest> Guests,
    IReadOnlyList<Guid>? Reservations = null,
    Reason? Fenced = null,
    double? FailureProbability = null);
