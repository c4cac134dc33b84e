using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using SpecMesh.DataPath;

namespace SpecMesh.Hypervisors.Native;

/// <summary>
/// A userfaultfd over one range of this process, for write protection. Constants and structures are those of the kernel's
/// <c>include/uapi/linux/userfaultfd.h</c>. While it is open the range stays registered; when it is closed the kernel forgets every protection.
/// </summary>
internal sealed class Userfaultfd : IDisposable
{
    private const int CloseOnExec = 0x80000;

    // Without privileges a userfaultfd may only see faults of user mode, which is all that a guest has.
    private const int UserModeOnly = 1;
    private const ulong ApiVersion = 0xAA;
    private const uint ApiRequest = 0xC018AA3F;
    private const uint RegisterRequest = 0xC020AA00;
    private const uint WriteProtectRequest = 0xC018AA06;
    private const ulong FeaturePageFaultWriteProtect = 1 << 0;
    private const ulong FeatureWriteProtectSharedMemory = 1 << 12;
    private const ulong FeatureWriteProtectUnpopulated = 1 << 13;
    private const ulong FeatureWriteProtectAsync = 1 << 15;
    private const ulong RegisterModeWriteProtect = 2;
    private const ulong WriteProtectModeOn = 1;
    private const byte EventPageFault = 0x12;
    private const int MessageBytes = 32;
    private const int MessageAddressOffset = 16;

    private readonly SafeFileHandle handle;
    private readonly ulong start;
    private readonly ulong length;

    private Userfaultfd(SafeFileHandle handle, nint address, long length)
    {
        this.handle = handle;
        start = (ulong)address;
        this.length = (ulong)length;
    }

    /// <summary>The kernel resolves the faults itself; which pages were written is read with <c>PAGEMAP_SCAN</c>. Linux 6.7 and later.</summary>
    public static Userfaultfd RegisterAsynchronous(nint address, long length) =>
        Register(address, length, FeatureWriteProtectAsync | FeatureWriteProtectUnpopulated | FeatureWriteProtectSharedMemory);

    /// <summary>Each first write blocks until <see cref="Unprotect"/>. Linux 5.19 and later, for shared memory.</summary>
    public static Userfaultfd RegisterSynchronous(nint address, long length) =>
        Register(address, length, FeaturePageFaultWriteProtect | FeatureWriteProtectSharedMemory);

    /// <summary>Protects pages: their next write is a fault. Complete for every processor when this returns.</summary>
    public void Protect(long firstPage, long count) => WriteProtect(firstPage, count, WriteProtectModeOn);

    /// <summary>Lets pages be written and wakes the threads that wait for it.</summary>
    public void Unprotect(long firstPage, long count) => WriteProtect(firstPage, count, 0);

    /// <summary>Blocks for faults and returns the pages that they are in.</summary>
    public int ReadFaults(Span<long> pages)
    {
        Span<byte> messages = stackalloc byte[pages.Length * MessageBytes];
        int bytes = Libc.Read(handle, messages);
        int count = 0;
        for (int at = 0; at + MessageBytes <= bytes; at += MessageBytes)
        {
            if (messages[at] == EventPageFault)
            {
                ulong address = MemoryMarshal.Read<ulong>(messages[(at + MessageAddressOffset)..]);
                pages[count++] = (long)((address - start) / IGuestMemory.PageBytes);
            }
        }

        return count;
    }

    public void Dispose() => handle.Dispose();

    private static Userfaultfd Register(nint address, long length, ulong features)
    {
        SafeFileHandle handle = Libc.OpenUserfaultfd(CloseOnExec | UserModeOnly);
        try
        {
            Api api = new() { Version = ApiVersion, Features = features };
            Libc.Control(handle, ApiRequest, ref api, $"UFFDIO_API with features 0x{features:x}, which this kernel does not have");
            Registration registration = new() { Start = (ulong)address, Length = (ulong)length, Mode = RegisterModeWriteProtect };
            Libc.Control(handle, RegisterRequest, ref registration, "UFFDIO_REGISTER");
            return new Userfaultfd(handle, address, length);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    private void WriteProtect(long firstPage, long count, ulong mode)
    {
        ulong offset = (ulong)firstPage * IGuestMemory.PageBytes;
        ulong bytes = (ulong)count * IGuestMemory.PageBytes;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, length - offset);
        Protection protection = new() { Start = start + offset, Length = bytes, Mode = mode };
        Libc.Control(handle, WriteProtectRequest, ref protection, "UFFDIO_WRITEPROTECT");
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Api
    {
        public ulong Version;
        public ulong Features;
        public ulong Ioctls;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Registration
    {
        public ulong Start;
        public ulong Length;
        public ulong Mode;
        public ulong Ioctls;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Protection
    {
        public ulong Start;
        public ulong Length;
        public ulong Mode;
    }
}
