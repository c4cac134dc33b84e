using System.Net;

namespace SpecMesh.DataPath;

/// <summary>What one migration stream needs at the source.</summary>
/// <param name="Endpoint">Where the target's agent listens for migration streams.</param>
/// <param name="Identity">Which replica of which operation this is.</param>
/// <param name="Token">Its token, by <see cref="ReplicaToken.Derive"/>.</param>
/// <param name="DirtyLog">Owner of the guest's dirty log.</param>
/// <param name="Memory">The guest's memory.</param>
/// <param name="Time">Clock for durations and rates.</param>
public sealed record MigrationSenderOptions(IPEndPoint Endpoint, ReplicaIdentity Identity, byte[] Token, DirtyLogOwner DirtyLog, IGuestMemory Memory, TimeProvider Time)
{
    /// <summary>What the guest's driver knows beside the pages, for the driver at the target. It belongs to the pages as <see cref="Memory"/> numbers them.</summary>
    public ReadOnlyMemory<byte> Setup { get; init; }

    /// <summary>Reads the state of the suspended guest's processors, when its last pages are sent; null for a driver whose guests have none beside their memory.</summary>
    public Func<byte[]>? ReadState { get; init; }

    /// <summary>Longest time for connecting and the handshake together.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Bytes of pages per record: a multiple of the page size, at most 1 MiB. Half a megabyte stays in a core's cache and makes system calls cheap.</summary>
    public int ChunkBytes { get; init; } = 512 * 1024;
}
