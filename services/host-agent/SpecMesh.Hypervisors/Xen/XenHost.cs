using SpecMesh.Hypervisors.Xen.Format;
using SpecMesh.Hypervisors.Xen.Native;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>This host's hypervisor and its store, as the driver uses them. One per driver; its guests share it.</summary>
internal sealed class XenHost : IDisposable
{
    /// <summary>Parameters of a domain that travel where they are not zero: those that the stock sender sends (<c>tools/libs/guest/xg_sr_save_x86_hvm.c</c>, <c>xen/hvm/params.h</c>).</summary>
    private static readonly uint[] TravellingParams = [1, 5, 6, 27, 28, 29, 37, 17, 19, 9, 12, 34, 32, 33, 36, 38];

    public XenHost(XlCommand xl)
    {
        XenLibraries.Require();
        Xl = xl;
        try
        {
            Control = new XenControl();
            Store = new XenStore();
            Memory = new XenForeignMemory();
            Unfinished = new UnfinishedDomains(Store);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public XlCommand Xl { get; }

    public DirtyLogClaims DirtyLogs { get; } = new();

    // Null only while the constructor has not come so far, which Dispose must be able to see.
    public XenControl Control { get; } = null!;

    public XenStore Store { get; } = null!;

    public XenForeignMemory Memory { get; } = null!;

    public UnfinishedDomains Unfinished { get; } = null!;

    /// <summary>Where a domain's values are that are the driver's own. They go with the domain, and the domain cannot change them.</summary>
    public static string PathOf(int domainId, string name) => $"/local/domain/{domainId}/specmesh/{name}";

    /// <summary>What a receiver must know of a domain before its first page.</summary>
    public async Task<XenDomainSetup> ReadSetupAsync(int domainId, CancellationToken cancellationToken)
    {
        LibxlConfiguration configuration = await ReadConfigurationAsync(domainId, cancellationToken);
        (byte[] cpuid, byte[] msr) = XenGuestLibrary.ReadPolicies(Control, domainId);
        (int major, int minor) = Control.Version;
        return new XenDomainSetup(configuration.ToBytes(), major, minor, cpuid, msr);
    }

    /// <summary>What a domain was built from.</summary>
    /// <exception cref="HypervisorException">It is of a type that could not be migrated. The hypervisor's own flags do not tell <c>hvm</c> from <c>pvh</c>.</exception>
    public async Task<LibxlConfiguration> ReadConfigurationAsync(int domainId, CancellationToken cancellationToken)
    {
        LibxlConfiguration configuration = await Xl.ReadConfigurationAsync(domainId, cancellationToken);
        return configuration.Type == "pvh" ? configuration : throw new HypervisorException($"Domain {domainId} is of type {configuration.Type}: only domains of type pvh can be migrated.");
    }

    /// <summary>What a suspended domain is beside its memory.</summary>
    /// <exception cref="HypervisorException">It is not suspended: what is read would not belong together.</exception>
    public XenDomainState ReadState(int domainId)
    {
        if (Control.Find(domainId) is not { Suspended: true })
        {
            throw new HypervisorException($"Domain {domainId} is not suspended.");
        }

        XenHvmParam[] parameters = [.. TravellingParams.Select(index => new XenHvmParam(index, Control.ReadHvmParam(domainId, index))).Where(parameter => parameter.Value != 0)];
        return new XenDomainState(Control.ReadTsc(domainId), Control.ReadHvmContext(domainId), parameters);
    }

    public void Dispose()
    {
        Memory?.Dispose();
        Store?.Dispose();
        Control?.Dispose();
    }
}
