using System.Runtime.InteropServices;
using SpecMesh.Hypervisors.Native;
using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Xen.Native;

/// <summary>libxenguest of Xen 4.17, as far as the driver needs it (<c>tools/include/xenguest.h</c>).</summary>
internal static partial class XenGuestLibrary
{
    /// <summary>A domain's processor policies, as they travel.</summary>
    public static (byte[] Cpuid, byte[] Msr) ReadPolicies(XenControl control, int domainId)
    {
        uint leaves = 0, msrs = 0;
        control.Locked(handle => GetPolicySize(handle, out leaves, out msrs), "xc_cpu_policy_get_size");
        byte[] cpuid = new byte[leaves * XenDomainSetup.CpuidLeafBytes];
        byte[] msr = new byte[msrs * XenDomainSetup.MsrEntryBytes];
        nint policy = NewPolicy();
        if (policy == 0)
        {
            throw NativeException.FromLastError("xc_cpu_policy_init");
        }

        try
        {
            control.Locked(handle => GetPolicy(handle, (uint)domainId, policy), "xc_cpu_policy_get_domain");
            control.Locked(handle => Serialise(handle, policy, cpuid, ref leaves, msr, ref msrs), "xc_cpu_policy_serialise");
        }
        finally
        {
            FreePolicy(policy);
        }

        // The numbers were the room there is, and are what was used of it.
        return (cpuid[..(int)(leaves * XenDomainSetup.CpuidLeafBytes)], msr[..(int)(msrs * XenDomainSetup.MsrEntryBytes)]);
    }

    /// <summary>Lets a domain go on that has suspended itself, as if the suspend had been cancelled.</summary>
    public static void Resume(XenControl control, int domainId) => control.Locked(handle => ResumeDomain(handle, (uint)domainId, fast: 1), "xc_domain_resume");

    [LibraryImport(XenLibraries.Guest, EntryPoint = "xc_cpu_policy_get_size", SetLastError = true)]
    private static partial int GetPolicySize(nint handle, out uint leaves, out uint msrs);

    [LibraryImport(XenLibraries.Guest, EntryPoint = "xc_cpu_policy_init", SetLastError = true)]
    private static partial nint NewPolicy();

    [LibraryImport(XenLibraries.Guest, EntryPoint = "xc_cpu_policy_destroy")]
    private static partial void FreePolicy(nint policy);

    [LibraryImport(XenLibraries.Guest, EntryPoint = "xc_cpu_policy_get_domain", SetLastError = true)]
    private static partial int GetPolicy(nint handle, uint domain, nint policy);

    [LibraryImport(XenLibraries.Guest, EntryPoint = "xc_cpu_policy_serialise", SetLastError = true)]
    private static partial int Serialise(nint handle, nint policy, [Out] byte[] leaves, ref uint leafCount, [Out] byte[] msrs, ref uint msrCount);

    [LibraryImport(XenLibraries.Guest, EntryPoint = "xc_domain_resume", SetLastError = true)]
    private static partial int ResumeDomain(nint handle, uint domain, int fast);
}
