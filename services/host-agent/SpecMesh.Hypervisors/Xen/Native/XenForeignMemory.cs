using System.Runtime.InteropServices;
using SpecMesh.DataPath;

namespace SpecMesh.Hypervisors.Xen.Native;

/// <summary>libxenforeignmemory (<c>tools/include/xenforeignmemory.h</c>): reads the memory of another domain. Several threads may read at once.</summary>
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

    /// <summary>Copies pages out of consecutive page frames. The domain may be writing them meanwhile.</summary>
    /// <exception cref="HypervisorException">A page frame holds no memory any more, or the domain is gone.</exception>
    public void Read(int domainId, long firstPfn, Span<byte> destination)
    {
        const int mostPages = 256;
        Span<ulong> frames = stackalloc ulong[mostPages];
        Span<int> errors = stackalloc int[mostPages];
        while (!destination.IsEmpty)
        {
            int pages = Math.Min(mostPages, destination.Length / IGuestMemory.PageBytes);
            for (int i = 0; i < pages; i++)
            {
                frames[i] = (ulong)(firstPfn + i);
            }

            int bytes = pages * IGuestMemory.PageBytes;
            CopyMapped(domainId, frames[..pages], errors[..pages], destination[..bytes]);
            destination = destination[bytes..];
            firstPfn += pages;
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

    private void CopyMapped(int domainId, ReadOnlySpan<ulong> frames, Span<int> errors, Span<byte> destination)
    {
        ObjectDisposedException.ThrowIf(handle == 0, this);

        // SAFETY: both arrays are as long as the number of pages that is given, and live on the caller's stack for the time of the call.
        fixed (ulong* wanted = frames)
        fixed (int* failed = errors)
        {
            nint mapped = Map(handle, (uint)domainId, ProtectRead, (nuint)frames.Length, wanted, failed);
            if (mapped == 0)
            {
                throw new HypervisorException($"{frames.Length} pages from page frame {frames[0]} of domain {domainId} cannot be mapped: {Marshal.GetLastPInvokeErrorMessage()}.");
            }

            try
            {
                int wrong = errors.IndexOfAnyExcept(0);
                if (wrong >= 0)
                {
                    throw new HypervisorException($"Page frame {frames[wrong]} of domain {domainId} holds no memory (error {errors[wrong]}): its memory has changed since the migration began.");
                }

                // SAFETY: every page of the mapping is there, and it is that long.
                new ReadOnlySpan<byte>((void*)mapped, destination.Length).CopyTo(destination);
            }
            finally
            {
                _ = Unmap(handle, mapped, (nuint)frames.Length);
            }
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
