using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Process.Tracking;

/// <summary>
/// Dirty log by the soft-dirty bit of the page tables. Reading the bits and clearing them are two steps, so a running guest stands still for both. Source of
/// the format: the kernel's <c>Documentation/admin-guide/mm/soft-dirty.rst</c>.
/// </summary>
internal sealed class SoftDirtyLog : IDirtyLog
{
    private const ulong SoftDirtyBit = 1UL << 55;
    private const int EntriesPerRead = 8192;

    private readonly ProcessGuest guest;
    private readonly SafeFileHandle pagemap;
    private readonly string clearPath;
    private readonly long firstEntry;
    private readonly long pageCount;
    private readonly ulong[] entries = new ulong[EntriesPerRead];

    public SoftDirtyLog(ProcessGuest guest, int pid, ulong start, long pageCount)
    {
        this.guest = guest;
        this.pageCount = pageCount;
        pagemap = Libc.OpenForReading($"/proc/{pid}/pagemap");
        clearPath = $"/proc/{pid}/clear_refs";
        firstEntry = (long)(start / IGuestMemory.PageBytes);
    }

    public string Name => DirtyTrackerChoice.SoftDirty.Name();

    public void Start() => Stopped(Clear);

    public void Harvest(PageBitmap into)
    {
        if (into.PageCount != pageCount)
        {
            throw new ArgumentException($"A bitmap of {into.PageCount} pages does not fit a guest of {pageCount}.", nameof(into));
        }

        Stopped(() =>
        {
            ReadBits(into);
            Clear();
        });
    }

    /// <summary>Nothing to undo: each page costs the guest one more fault, which the kernel resolves.</summary>
    public void Stop()
    {
    }

    public void Dispose() => pagemap.Dispose();

    private void ReadBits(PageBitmap into)
    {
        for (long page = 0; page < pageCount;)
        {
            int count = (int)Math.Min(EntriesPerRead, pageCount - page);
            Span<byte> bytes = MemoryMarshal.AsBytes(entries.AsSpan(0, count));
            int read = RandomAccess.Read(pagemap, bytes, (firstEntry + page) * sizeof(ulong));
            if (read < bytes.Length)
            {
                throw new DirtyLogException("The dirty log is lost: the guest's memory is not there any more.");
            }

            for (int i = 0; i < count; i++)
            {
                if ((entries[i] & SoftDirtyBit) != 0)
                {
                    into.Set(page + i);
                }
            }

            page += count;
        }
    }

    private void Clear()
    {
        using SafeFileHandle file = Libc.OpenForWriting(clearPath);
        RandomAccess.Write(file, "4"u8, fileOffset: 0);
    }

    private void Stopped(Action action)
    {
        try
        {
            guest.WhileStopped(action);
        }
        catch (Exception e) when (e is HypervisorException or NativeException or IOException or UnauthorizedAccessException)
        {
            throw new DirtyLogException("The dirty log is lost: " + e.Message, e);
        }
    }
}
