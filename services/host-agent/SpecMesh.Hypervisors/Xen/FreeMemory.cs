namespace SpecMesh.Hypervisors.Xen;

/// <summary>Memory of the host that no domain has, and that is promised to no replica on its way here.</summary>
/// <param name="xl">Xen's command line.</param>
/// <param name="promised">Bytes that are promised now.</param>
internal sealed class FreeMemory(XlCommand xl, Func<long> promised)
{
    private const long Megabyte = 1 << 20;

    /// <summary>What a domain takes beside its memory: Xen's own structures, the tables of hardware-assisted paging, and what libxl keeps free.</summary>
    public static long NeedOf(long memoryBytes) => memoryBytes == 0 ? 0 : memoryBytes + (memoryBytes / 128) + (16 * Megabyte);

    /// <summary>Refuses what the host has no memory for before xl begins: it may otherwise take some from the control domain.</summary>
    /// <param name="bytes">What is needed.</param>
    /// <param name="cancellationToken">Ends the look.</param>
    /// <exception cref="HypervisorException">There is less.</exception>
    public async Task RequireAsync(long bytes, CancellationToken cancellationToken) => Require(bytes, await xl.ReadFreeMemoryBytesAsync(cancellationToken));

    /// <summary>As <see cref="RequireAsync"/>, of a host that has so many bytes free.</summary>
    /// <exception cref="HypervisorException">There is less.</exception>
    public void Require(long bytes, long free)
    {
        long others = promised();
        if (bytes > free - others)
        {
            throw new HypervisorException($"The host has {free / Megabyte} MiB of free memory, of which {others / Megabyte} are promised; {(bytes + Megabyte - 1) / Megabyte} MiB do not fit.");
        }
    }
}
