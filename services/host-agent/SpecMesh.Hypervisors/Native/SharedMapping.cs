using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace SpecMesh.Hypervisors.Native;

/// <summary>A shared, writable mapping of a file from its beginning. Unmapped when it is disposed and the last user is done.</summary>
internal sealed unsafe partial class SharedMapping : SafeHandle
{
    private const int ProtectReadWrite = 3;
    private const int MapShared = 1;

    private SharedMapping(nint address, long length)
        : base(-1, ownsHandle: true)
    {
        Length = length;
        SetHandle(address);
    }

    /// <summary>Bytes.</summary>
    public long Length { get; }

    public override bool IsInvalid => handle == -1;

    /// <summary>Where it begins in this process. The caller sees to it that the mapping is not disposed meanwhile.</summary>
    public nint Address => handle;

    public static SharedMapping Map(SafeFileHandle file, long length)
    {
        nint address = Mmap(0, (nuint)length, ProtectReadWrite, MapShared, file, 0);
        return address == -1 ? throw NativeException.FromLastError("mmap") : new SharedMapping(address, length);
    }

    /// <summary>Keeps the mapping until the answer is disposed.</summary>
    /// <exception cref="ObjectDisposedException">The mapping has been disposed.</exception>
    public Lease Use()
    {
        bool added = false;
        DangerousAddRef(ref added);
        return new Lease(this);
    }

    protected override bool ReleaseHandle() => Munmap(handle, (nuint)Length) == 0;

    /// <summary>A use of the mapping.</summary>
    public readonly ref struct Lease(SharedMapping mapping)
    {
        public nint Address => mapping.handle;

        public Span<byte> Bytes(long offset, int count)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(count);
            ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)offset, (ulong)(mapping.Length - count));

            // SAFETY: the range was just checked against the length of the mapping, which this lease keeps mapped.
            return new Span<byte>((byte*)mapping.handle + offset, count);
        }

        public Span<ulong> Words(long offset, int count) => MemoryMarshal.Cast<byte, ulong>(Bytes(offset, checked(count * sizeof(ulong))));

        public void Dispose() => mapping.DangerousRelease();
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Mmap(nint address, nuint length, int protection, int flags, SafeFileHandle file, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Munmap(nint address, nuint length);
}
