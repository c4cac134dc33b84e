using System.Runtime.InteropServices;

namespace SpecMesh.Hypervisors.Xen.Native;

/// <summary>Whole pages of memory that the hypervisor may write, from libxencall (<c>tools/include/xencall.h</c>): pages of the ordinary heap may be moved by the kernel during a hypercall.</summary>
internal sealed unsafe partial class HypercallBuffer : IDisposable
{
    private readonly nuint pages;
    private nint handle;

    /// <param name="bytes">How much it holds at least.</param>
    /// <exception cref="HypervisorException">There is no hypervisor, or no memory.</exception>
    public HypercallBuffer(long bytes)
    {
        const long pageBytes = DataPath.IGuestMemory.PageBytes;
        pages = (nuint)((bytes + pageBytes - 1) / pageBytes);
        handle = Open(0, 0);
        Address = handle == 0 ? 0 : Allocate(handle, pages);
        if (Address == 0)
        {
            string reason = Marshal.GetLastPInvokeErrorMessage();
            Dispose();
            throw new HypervisorException($"Memory for a hypercall cannot be had: {reason}.");
        }
    }

    /// <summary>Where it is.</summary>
    public nint Address { get; private set; }

    /// <summary>The first words of it. Not to be used after <see cref="Dispose"/>.</summary>
    public ReadOnlySpan<ulong> Words(int count)
    {
        ObjectDisposedException.ThrowIf(Address == 0, this);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((nuint)count * sizeof(ulong), pages * DataPath.IGuestMemory.PageBytes);

        // SAFETY: the buffer is that long and stays until it is disposed of, which its one owner does.
        return new ReadOnlySpan<ulong>((void*)Address, count);
    }

    public void Dispose()
    {
        if (Address != 0)
        {
            Free(handle, Address, pages);
            Address = 0;
        }

        if (handle != 0)
        {
            _ = Close(handle);
            handle = 0;
        }
    }

    [LibraryImport(XenLibraries.Call, EntryPoint = "xencall_open", SetLastError = true)]
    private static partial nint Open(nint logger, uint flags);

    [LibraryImport(XenLibraries.Call, EntryPoint = "xencall_close")]
    private static partial int Close(nint handle);

    [LibraryImport(XenLibraries.Call, EntryPoint = "xencall_alloc_buffer_pages", SetLastError = true)]
    private static partial nint Allocate(nint handle, nuint pages);

    [LibraryImport(XenLibraries.Call, EntryPoint = "xencall_free_buffer_pages")]
    private static partial void Free(nint handle, nint buffer, nuint pages);
}
