using System.Runtime.InteropServices;

namespace SpecMesh.Hypervisors.Xen.Native;

/// <summary>libxenforeignmemory (<c>tools/include/xenforeignmemory.h</c>): makes the memory of another domain readable here. Several threads may map at once.</summary>
internal sealed unsafe partial class XenForeignMemory : IDisposable
{
    private const int ProtectRead = 1;
    private nint handle;

    /// <exception cref="HypervisorException">There is no hypervisor.</exception>
    public XenForeignMemory()
    {
        handle = Open(0, 0);
        if (handle == 0)
        {
            throw new HypervisorException($"The memory of domains cannot be reached: {Marshal.GetLastPInvokeErrorMessage()}.");
        }
    }

    /// <summary>Maps page frames one behind the other. The domain may be writing them meanwhile. Its memory stays in use until the mapping is given back, even when it is gone itself.</summary>
    /// <returns>Address of the first of them; it is given back by <see cref="Unmap(nint, int)"/>.</returns>
    /// <exception cref="HypervisorException">A page frame holds no memory any more, or the domain is gone.</exception>
    public nint Map(int domainId, ReadOnlySpan<ulong> frames)
    {
        ObjectDisposedException.ThrowIf(handle == 0, this);
        int[] errors = new int[frames.Length];

        // SAFETY: both arrays are as long as the number of pages that is given, and do not move during the call.
        fixed (ulong* wanted = frames)
        fixed (int* failed = errors)
        {
            nint mapped = Map(handle, (uint)domainId, ProtectRead, (nuint)frames.Length, wanted, failed);
            if (mapped == 0)
            {
                throw new HypervisorException($"{frames.Length} pages from page frame {frames[0]} of domain {domainId} cannot be mapped: {Marshal.GetLastPInvokeErrorMessage()}.");
            }

            int wrong = errors.AsSpan().IndexOfAnyExcept(0);
            if (wrong >= 0)
            {
                Unmap(mapped, frames.Length);
                throw new HypervisorException($"Page frame {frames[wrong]} of domain {domainId} holds no memory (error {errors[wrong]}): its memory has changed since the migration began.");
            }

            return mapped;
        }
    }

    /// <summary>Gives a mapping back. Nothing may read it any more.</summary>
    public void Unmap(nint mapped, int pages)
    {
        if (handle != 0)
        {
            _ = Unmap(handle, mapped, (nuint)pages);
        }
    }

    public void Dispose()
    {
        nint closing = Interlocked.Exchange(ref handle, 0);
        if (closing != 0)
        {
            _ = Close(closing);
        }
    }

    [LibraryImport(XenLibraries.ForeignMemory, EntryPoint = "xenforeignmemory_open", SetLastError = true)]
    private static partial nint Open(nint logger, uint flags);

    [LibraryImport(XenLibraries.ForeignMemory, EntryPoint = "xenforeignmemory_close")]
    private static partial int Close(nint handle);

    [LibraryImport(XenLibraries.ForeignMemory, EntryPoint = "xenforeignmemory_map", SetLastError = true)]
    private static partial nint Map(nint handle, uint domain, int protection, nuint pages, ulong* frames, int* errors);

    [LibraryImport(XenLibraries.ForeignMemory, EntryPoint = "xenforeignmemory_unmap", SetLastError = true)]
    private static partial int Unmap(nint handle, nint address, nuint pages);
}
