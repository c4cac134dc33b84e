namespace SpecMesh.Hypervisors.Process;

/// <summary>Which of the kernel's ways to track written pages the Process driver uses.</summary>
public enum DirtyTrackerChoice
{
    /// <summary>The first of the following that passes its self-test.</summary>
    Auto,

    /// <summary><c>PAGEMAP_SCAN</c> with asynchronous userfaultfd write protection: Linux 6.7 and later.</summary>
    PagemapScan,

    /// <summary>Synchronous userfaultfd write protection, with a fault handler in the guest's process: Linux 5.19 and later.</summary>
    Userfaultfd,

    /// <summary>The soft-dirty bit, where the kernel keeps it. The guest stands still during each harvest.</summary>
    SoftDirty,
}

/// <summary>The names that operators and state files use.</summary>
internal static class DirtyTrackerNames
{
    /// <summary>A guest without a tracker: it can run and receive, and never be a source.</summary>
    public const string None = "none";

    public static string Name(this DirtyTrackerChoice choice) => choice switch
    {
        DirtyTrackerChoice.PagemapScan => "pagemap-scan",
        DirtyTrackerChoice.Userfaultfd => "userfaultfd",
        DirtyTrackerChoice.SoftDirty => "soft-dirty",
        _ => throw new ArgumentOutOfRangeException(nameof(choice), choice, "Only a tracker has a name."),
    };
}
