namespace SpecMesh.Hypervisors.Xen.Format;

/// <summary>How pages that hold only zeros travel to a Xen receiver.</summary>
public enum ZeroPages
{
    /// <summary>As pages like any other: 4 KiB of zeros. Right with every hypervisor.</summary>
    AsData,

    /// <summary>
    /// As a request to allocate the page, without content, where the page never had content in this migration stream. The receiver then relies on its hypervisor giving out
    /// scrubbed memory, which a debug build of Xen (it scrubs with a pattern) and <c>bootscrub=0</c> do not do.
    /// </summary>
    AsAllocations,
}
