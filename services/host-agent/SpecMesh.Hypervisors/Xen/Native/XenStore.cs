using System.Runtime.InteropServices;
using System.Text;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Xen.Native;

/// <summary>libxenstore (<c>tools/include/xenstore.h</c>): a small tree of values that domains and their control domain share. One connection; safe for concurrent use.</summary>
internal sealed unsafe partial class XenStore : IDisposable
{
    private readonly Lock gate = new();
    private nint handle;

    /// <exception cref="HypervisorException">xenstored does not answer.</exception>
    public XenStore()
    {
        handle = Open(0);
        if (handle == 0)
        {
            throw new HypervisorException($"xenstored does not answer: {Marshal.GetLastPInvokeErrorMessage()}.");
        }
    }

    /// <summary>A value; null when there is none.</summary>
    public string? Read(string path)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(handle == 0, this);
            nint value = ReadValue(handle, 0, path, out uint length);
            if (value == 0)
            {
                return Marshal.GetLastPInvokeError() == NoEntry ? null : throw NativeException.FromLastError($"xs_read {path}");
            }

            // SAFETY: the library has allocated that many bytes for this caller, who frees them once they are copied.
            string text = Encoding.UTF8.GetString(new ReadOnlySpan<byte>((void*)value, (int)length));
            NativeMemory.Free((void*)value);
            return text;
        }
    }

    /// <summary>Sets a value, as a whole: a reader sees the old or the new one.</summary>
    public void Write(string path, string value)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(value);
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(handle == 0, this);
            if (!WriteValue(handle, 0, path, bytes, (uint)bytes.Length))
            {
                throw NativeException.FromLastError($"xs_write {path}");
            }
        }
    }

    /// <summary>Removes a value and everything below it. False when there was none.</summary>
    public bool Remove(string path)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(handle == 0, this);
            return RemoveValue(handle, 0, path) || (Marshal.GetLastPInvokeError() == NoEntry ? false : throw NativeException.FromLastError($"xs_rm {path}"));
        }
    }

    /// <summary>Tells xenstored that a domain goes on that had suspended itself: without it a later end of the domain would go unnoticed.</summary>
    public void ResumeDomain(int domainId)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(handle == 0, this);
            if (!ResumeInStore(handle, (uint)domainId))
            {
                throw NativeException.FromLastError("xs_resume_domain");
            }
        }
    }

    public void Dispose()
    {
        nint closing = Interlocked.Exchange(ref handle, 0);
        if (closing != 0)
        {
            Close(closing);
        }
    }

    private const int NoEntry = 2;

    [LibraryImport(XenLibraries.Store, EntryPoint = "xs_open", SetLastError = true)]
    private static partial nint Open(nuint flags);

    [LibraryImport(XenLibraries.Store, EntryPoint = "xs_close")]
    private static partial void Close(nint handle);

    [LibraryImport(XenLibraries.Store, EntryPoint = "xs_read", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint ReadValue(nint handle, uint transaction, string path, out uint length);

    [LibraryImport(XenLibraries.Store, EntryPoint = "xs_write", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [return: MarshalAs(UnmanagedType.U1)]
    private static partial bool WriteValue(nint handle, uint transaction, string path, byte[] value, uint length);

    [LibraryImport(XenLibraries.Store, EntryPoint = "xs_rm", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [return: MarshalAs(UnmanagedType.U1)]
    private static partial bool RemoveValue(nint handle, uint transaction, string path);

    [LibraryImport(XenLibraries.Store, EntryPoint = "xs_resume_domain", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.U1)]
    private static partial bool ResumeInStore(nint handle, uint domain);
}
