using SpecMesh.Hypervisors.Process;

namespace SpecMesh.Hypervisors.Tests;

[NeedsTracker(DirtyTrackerChoice.PagemapScan)]
public sealed class ProcessWithPagemapScan() : VerifiableCompliance(new ProcessHost(DirtyTrackerChoice.PagemapScan));

[NeedsTracker(DirtyTrackerChoice.Userfaultfd)]
public sealed class ProcessWithUserfaultfd() : VerifiableCompliance(new ProcessHost(DirtyTrackerChoice.Userfaultfd));

[NeedsTracker(DirtyTrackerChoice.SoftDirty)]
public sealed class ProcessWithSoftDirty() : VerifiableCompliance(new ProcessHost(DirtyTrackerChoice.SoftDirty));

[NeedsTracker(DirtyTrackerChoice.PagemapScan)]
public sealed class PagemapScanDirtyLog() : DirtyLogCompliance(new ProcessHost(DirtyTrackerChoice.PagemapScan));

[NeedsTracker(DirtyTrackerChoice.Userfaultfd)]
public sealed class UserfaultfdDirtyLog() : DirtyLogCompliance(new ProcessHost(DirtyTrackerChoice.Userfaultfd));

[NeedsTracker(DirtyTrackerChoice.SoftDirty)]
public sealed class SoftDirtyDirtyLog() : DirtyLogCompliance(new ProcessHost(DirtyTrackerChoice.SoftDirty));

public sealed class ProcessSnapshotCompliance() : SnapshotCompliance(new ProcessHost(DirtyTrackerChoice.Auto));
