namespace SpecMesh.DataPath;

/// <summary>
/// What takes an image at a target, as its hypervisor's driver makes it. A session calls it on its own thread, one call at a time. What it throws ends the migration stream, and the
/// source is told the message.
/// </summary>
public interface IImageShell
{
    /// <summary>Called once, before the first page: the source says what its guest is.</summary>
    /// <param name="pageCount">Pages of the guest, at least 1, within what its memory and <see cref="ReplicaIdentity.SlackBytes"/> allow.</param>
    /// <param name="setup">What the source's driver knows beside them; any bytes, from another host.</param>
    /// <param name="cancellationToken">Cancelled when the session ends: whatever waits then, in this call or in one of the memory, stops waiting.</param>
    /// <returns>Where the pages go.</returns>
    IGuestMemory Open(long pageCount, ReadOnlySpan<byte> setup, CancellationToken cancellationToken);

    /// <summary>Every page is in and the digests agree: what comes after the pages. When this returns the image is whole, and a later agent would find it.</summary>
    /// <param name="state">State of the guest's processors, as its driver sent it; any bytes, from another host. Empty when it sent none.</param>
    /// <param name="cancellationToken">Cancelled when the session ends.</param>
    void Complete(ReadOnlySpan<byte> state, CancellationToken cancellationToken);

    /// <summary>The source's guest goes on: a complete image is void, and pages come again. A driver that cannot take them throws.</summary>
    void Reopen();
}
