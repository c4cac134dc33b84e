namespace SpecMesh.Hypervisors.Xen.Format;

/// <summary>What a receiver must know of a PVH domain before its first page: it builds the empty domain from this.</summary>
/// <param name="LibxlConfiguration">The domain's configuration as libxl's JSON, in UTF-8, without a terminator: <c>config</c> of <c>xl list -l</c>.</param>
/// <param name="XenMajor">Version of the hypervisor that the domain comes from.</param>
/// <param name="XenMinor">Its second number.</param>
/// <param name="CpuidPolicy">Leaves of its CPUID policy, <see cref="CpuidLeafBytes"/> each; empty for a domain without.</param>
/// <param name="MsrPolicy">Entries of its MSR policy, <see cref="MsrEntryBytes"/> each; empty for a domain without.</param>
public sealed record XenDomainSetup(ReadOnlyMemory<byte> LibxlConfiguration, int XenMajor, int XenMinor, ReadOnlyMemory<byte> CpuidPolicy, ReadOnlyMemory<byte> MsrPolicy)
{
    /// <summary>Bytes of one <c>xen_cpuid_leaf_t</c> (<c>xen/arch-x86/xen.h</c>).</summary>
    public const int CpuidLeafBytes = 24;

    /// <summary>Bytes of one <c>xen_msr_entry_t</c> (<c>xen/arch-x86/xen.h</c>).</summary>
    public const int MsrEntryBytes = 16;
}

/// <summary>What a suspended PVH domain is beside its memory.</summary>
/// <param name="Tsc">Its clock.</param>
/// <param name="HvmContext">State of its virtual processors and interrupt controllers, as <c>xc_domain_hvm_getcontext</c> gives it.</param>
/// <param name="HvmParams">Its parameters that are not zero.</param>
public sealed record XenDomainState(XenTsc Tsc, ReadOnlyMemory<byte> HvmContext, IReadOnlyList<XenHvmParam> HvmParams);

/// <summary>A domain's time-stamp counter.</summary>
/// <param name="Mode">How it is emulated.</param>
/// <param name="Khz">Its frequency.</param>
/// <param name="ElapsedNs">Time on it, in nanoseconds.</param>
/// <param name="Incarnation">How often the domain's clock has moved from host to host.</param>
public readonly record struct XenTsc(uint Mode, uint Khz, ulong ElapsedNs, uint Incarnation);

/// <summary>One parameter of a domain: a number of <c>xen/hvm/params.h</c>, and its value.</summary>
public readonly record struct XenHvmParam(ulong Index, ulong Value);
