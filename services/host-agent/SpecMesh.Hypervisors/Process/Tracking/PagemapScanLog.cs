using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Process.Tracking;

/// <summary>
/// Dirty log of a range that its owner has registered with an asynchronous userfaultfd: one <c>PAGEMAP_SCAN</c> finds the written pages and protects
/// them again, atomically for each page, from another process. Source of the format: the kernel's <c>Documentation/admin-guide/mm/pagemap.rst</c>.
/// </summary>
internal sealed unsafe class PagemapScanLog : IDirtyLog
{
    private const uint ScanRequest = 0xC0606610;
    private const ulong ProtectMatching = 1;

    // Without this flag a scan of a range that is not registered any more reports nothing, without an error.
    private const ulong CheckAsyncProtection = 2;
    private const ulong CategoryProtectable = 1;
    private const ulong CategoryWritten = 2;
    private const int RegionsPerScan = 4096;

    private readonly SafeFileHandle pagemap;
    private readonly ulong start;
    private readonly long pageCount;
    private readonly Region[] regions = GC.AllocateArray<Region>(RegionsPerScan, pinned: true);

    /// <param name="pid">Process that owns the range.</param>
    /// <param name="start">Address of the range in that process.</param>
    /// <param name="pageCount">Pages of the range.</param>
    public PagemapScanLog(int pid, ulong start, long pageCount)
    {
        pagemap = Libc.OpenForReading($"/proc/{pid}/pagemap");
        this.start = start;
        this.pageCount = pageCount;
    }

    public string Name => DirtyTrackerChoice.PagemapScan.Name();

    /// <summary>The first scan finds every page written and thereby protects all of them.</summary>
    public void Start() => Scan(null);

    public void Harvest(PageBitmap into)
    {
        if (into.PageCount != pageCount)
        {
            throw new ArgumentException($"A bitmap of {into.PageCount} pages does not fit a guest of {pageCount}.", nameof(into));
        }

        Scan(into);
    }

    /// <summary>Nothing to undo: each page that is still protected costs the guest one more fault, which the kernel resolves.</summary>
    public void Stop()
    {
    }

    public void Dispose() => pagemap.Dispose();

    private void Scan(PageBitmap? into)
    {
        try
        {
            ulong end = start + ((ulong)pageCount * IGuestMemory.PageBytes);
            for (ulong at = start; at < end;)
            {
                ScanArguments arguments = Arguments(at, end, ProtectMatching | CheckAsyncProtection, CategoryWritten);
                int count = Libc.Control(pagemap, ScanRequest, ref arguments, "PAGEMAP_SCAN");
                Add(into, regions.AsSpan(0, count));
                if (arguments.WalkEnd <= at)
                {
                    throw new DirtyLogException($"PAGEMAP_SCAN stands still at page {(at - start) / IGuestMemory.PageBytes}.");
                }

                at = arguments.WalkEnd;
            }

            RequireRange();
        }
        catch (NativeException e)
        {
            throw new DirtyLogException("The dirty log is lost: " + e.Message, e);
        }
    }

    /// <summary>The range of a process that has ended is empty to a scan, without an error: nothing would be reported, and pages lost.</summary>
    private void RequireRange()
    {
        ScanArguments arguments = Arguments(start, start + IGuestMemory.PageBytes, CheckAsyncProtection, CategoryProtectable);
        if (Libc.Control(pagemap, ScanRequest, ref arguments, "PAGEMAP_SCAN") != 1)
        {
            throw new DirtyLogException("The dirty log is lost: the guest's memory is not there any more.");
        }
    }

    private ScanArguments Arguments(ulong from, ulong end, ulong flags, ulong category) => new()
    {
        Size = (ulong)sizeof(ScanArguments),
        Flags = flags,
        Start = from,
        End = end,

        // SAFETY: the array is pinned for its whole life, which this object holds.
        Vector = (ulong)Marshal.UnsafeAddrOfPinnedArrayElement(regions, 0),
        VectorLength = RegionsPerScan,
        CategoryMask = category,
        ReturnMask = category,
    };

    private void Add(PageBitmap? into, ReadOnlySpan<Region> found)
    {
        foreach (Region region in found)
        {
            into?.SetRange(
                (long)((region.Start - start) / IGuestMemory.PageBytes),
                (long)((region.End - region.Start) / IGuestMemory.PageBytes));
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Region
    {
        public ulong Start;
        public ulong End;
        public ulong Categories;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct ScanArguments
    {
        public ulong Size;
        public ulong Flags;
        public ulong Start;
        public ulong End;
        public ulong WalkEnd;
        public ulong Vector;
        public ulong VectorLength;
        public ulong MaxPages;
        public ulong CategoryInverted;
        public ulong CategoryMask;
        public ulong CategoryAnyOfMask;
        public ulong ReturnMask;
    }
}
