using SpecMesh.Hypervisors.Process;

namespace SpecMesh.Hypervisors.Tests;

[NeedsTracker(DirtyTrackerChoice.PagemapScan)]
public sealed class ProcessWithPagemapScan() : HypervisorCompliance(new HostUnderTest(DirtyTrackerChoice.PagemapScan));

[NeedsTracker(DirtyTrackerChoice.Userfaultfd)]
public sealed class ProcessWithUserfaultfd() : HypervisorCompliance(new HostUnderTest(DirtyTrackerChoice.Userfaultfd));

[NeedsTracker(DirtyTrackerChoice.SoftDirty)]
public sealed class ProcessWithSoftDirty() : HypervisorCompliance(new HostUnderTest(DirtyTrackerChoice.SoftDirty));

[NeedsTracker(DirtyTrackerChoice.PagemapScan)]
public sealed class PagemapScanDirtyLog() : DirtyLogCompliance(new HostUnderTest(DirtyTrackerChoice.PagemapScan));

[NeedsTracker(DirtyTrackerChoice.Userfaultfd)]
public sealed class UserfaultfdDirtyLog() : DirtyLogCompliance(new HostUnderTest(DirtyTrackerChoice.Userfaultfd));

[NeedsTracker(DirtyTrackerChoice.SoftDirty)]
public sealed class SoftDirtyDirtyLog() : DirtyLogCompliance(new HostUnderTest(DirtyTrackerChoice.SoftDirty));

public sealed class ProcessSnapshotCompliance() : SnapshotCompliance(new HostUnderTest(DirtyTrackerChoice.Auto));
