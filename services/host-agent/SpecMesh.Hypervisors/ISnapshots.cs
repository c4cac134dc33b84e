namespace SpecMesh.Hypervisors;

/// <summary>
/// Machines kept in files of this host. A snapshot is taken as a whole or not at all, and nothing restored from one runs by itself: it is a paused guest, whose start needs the word of
/// the ownership event stream like every other start. <see cref="HypervisorCapabilities.SnapshotsRefused"/> says whether a driver can do this here.
/// </summary>
public interface ISnapshots
{
    /// <summary>Writes a running guest to a file. It stands still while its memory is written, and goes on; also when writing fails or is cancelled.</summary>
    /// <param name="guest">A guest of this driver.</param>
    /// <param name="snapshot">Name of the snapshot: 1 to 63 of <c>a-z 0-9 -</c>, not in use.</param>
    /// <param name="cancellationToken">Ends it; no snapshot is left.</param>
    /// <exception cref="HypervisorException">Refused or failed; no snapshot is left.</exception>
    /// <exception cref="ArgumentException">A guest of another driver.</exception>
    Task<Snapshot> SaveAsync(IGuest guest, string snapshot, CancellationToken cancellationToken);

    /// <summary>Builds the very machine of a snapshot, paused, under its own name. Only on a host that has no such machine.</summary>
    /// <param name="snapshot">Name of the snapshot. It stays.</param>
    /// <param name="tag">Whose replica the guest is. It names the snapshot's machine.</param>
    /// <param name="cancellationToken">Ends it; no guest is left.</param>
    /// <exception cref="HypervisorException">Refused or failed; no guest is left.</exception>
    Task<IGuest> RestoreAsync(string snapshot, GuestTag tag, CancellationToken cancellationToken);

    /// <summary>Builds another machine from a snapshot, paused: with its memory, but with a name and an id of its own.</summary>
    /// <param name="snapshot">Name of the snapshot. It stays.</param>
    /// <param name="tag">Whose replica the guest is. It names the new machine.</param>
    /// <param name="cancellationToken">Ends it; no guest is left.</param>
    /// <exception cref="HypervisorException">Refused or failed; no guest is left.</exception>
    Task<IGuest> CloneAsync(string snapshot, GuestTag tag, CancellationToken cancellationToken);

    /// <summary>Every snapshot of this host, by name. What an agent that died had half written is no snapshot, and is removed.</summary>
    Task<IReadOnlyList<Snapshot>> ListSnapshotsAsync(CancellationToken cancellationToken);

    /// <summary>Removes a snapshot. One that is gone already is no error.</summary>
    Task RemoveSnapshotAsync(string snapshot, CancellationToken cancellationToken);
}

/// <summary>Changes of a running guest. What a driver cannot change it refuses with the reason that its <see cref="HypervisorCapabilities"/> name.</summary>
public interface IReconfigure
{
    /// <summary>Sets how many processors a running guest has, and returns when it has them.</summary>
    /// <param name="guest">A guest of this driver.</param>
    /// <param name="count">1, up to as many as the machine was built for.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="HypervisorException">Refused, or the guest did not follow.</exception>
    Task SetProcessorsAsync(IGuest guest, int count, CancellationToken cancellationToken);

    /// <summary>Sets how much memory a running guest has, and returns when it has given it back or taken it.</summary>
    /// <param name="guest">A guest of this driver.</param>
    /// <param name="bytes">A multiple of 1 MiB, up to what the machine was built for. How little is enough the caller must know.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="HypervisorException">Refused, or the guest did not follow.</exception>
    Task SetMemoryAsync(IGuest guest, long bytes, CancellationToken cancellationToken);
}

/// <summary>A machine that was written to a file.</summary>
/// <param name="Name">Name of the snapshot on its host.</param>
/// <param name="VmId">The machine that it was taken of.</param>
/// <param name="MemoryBytes">Memory of the machine.</param>
/// <param name="FileBytes">Length of the file.</param>
/// <param name="TakenAt">When it was complete.</param>
public sealed record Snapshot(string Name, string VmId, long MemoryBytes, long FileBytes, DateTimeOffset TakenAt);
