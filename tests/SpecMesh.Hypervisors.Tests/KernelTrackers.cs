using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;
using SpecMesh.Hypervisors.Process;
using SpecMesh.Hypervisors.Process.Tracking;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>What the kernel says of writes that no guest of ours makes, and of a tracker that was taken away.</summary>
[NeedsTracker(DirtyTrackerChoice.PagemapScan)]
public sealed class PagemapScanOnOwnMemory : IDisposable
{
    private const long PageCount = 64;
    private readonly TrackedMemory tracked = new(PageCount, Userfaultfd.RegisterAsynchronous);

    public void Dispose() => tracked.Dispose();

    [TrackerFact]
    public void pages_that_the_kernel_writes_for_read_are_reported()
    {
        using PagemapScanLog log = Open();
        log.Start();
        tracked.ReadFromKernel(page: 17);

        Assert.Equal([17L], Pages(log));
        Assert.Equal([], Pages(log));
    }

    [TrackerFact]
    public void a_scan_after_the_userfaultfd_was_closed_throws_instead_of_reporting_nothing()
    {
        using PagemapScanLog log = Open();
        log.Start();
        tracked.CloseTracker();

        DirtyLogException lost = Assert.Throws<DirtyLogException>(() => Pages(log));
        Assert.Contains("lost", lost.Message, StringComparison.Ordinal);
    }

    private PagemapScanLog Open() => new(Environment.ProcessId, (ulong)tracked.Memory.Address, PageCount);

    private static List<long> Pages(PagemapScanLog log)
    {
        PageBitmap found = new(PageCount);
        log.Harvest(found);
        return [.. Enumerable.Range(0, (int)PageCount).Select(page => (long)page).Where(page => found[page])];
    }
}

[NeedsTracker(DirtyTrackerChoice.Userfaultfd)]
public sealed class SynchronousUserfaultfdOnOwnMemory : IDisposable
{
    private readonly TrackedMemory tracked = new(64, Userfaultfd.RegisterSynchronous);

    public void Dispose() => tracked.Dispose();

    /// <summary>Without privileges the tracker sees no faults of the kernel, so the kernel must not write behind its back.</summary>
    [TrackerFact]
    public void the_kernel_cannot_write_a_protected_page_unseen()
    {
        tracked.Tracker.Protect(17, 1);

        NativeException refused = Assert.Throws<NativeException>(() => tracked.ReadFromKernel(page: 17));
        Assert.Contains("Bad address", refused.Message, StringComparison.Ordinal);
        tracked.ReadFromKernel(page: 18);
    }
}

/// <summary>Memory of this process with a userfaultfd over it.</summary>
internal sealed class TrackedMemory : IDisposable
{
    public TrackedMemory(long pageCount, Func<nint, long, Userfaultfd> register)
    {
        long bytes = pageCount * IGuestMemory.PageBytes;
        using var file = Libc.CreateMemory("specmesh-test", bytes);
        Libc.Allocate(file, bytes);
        Memory = SharedMapping.Map(file, bytes);
        Tracker = register(Memory.Address, bytes);
    }

    public SharedMapping Memory { get; }

    public Userfaultfd Tracker { get; }

    /// <summary>Lets the kernel write a page, as a read(2) into it does.</summary>
    public void ReadFromKernel(long page)
    {
        using var random = Libc.OpenForReading("/dev/urandom");
        using SharedMapping.Lease lease = Memory.Use();
        Assert.Equal(IGuestMemory.PageBytes, Libc.Read(random, lease.Bytes(page * IGuestMemory.PageBytes, IGuestMemory.PageBytes)));
    }

    public void CloseTracker() => Tracker.Dispose();

    public void Dispose()
    {
        Tracker.Dispose();
        Memory.Dispose();
    }
}
