using SpecMesh.Hypervisors.Xen.Native;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>Where the driver finds what it needs.</summary>
/// <param name="ConfigurationDirectory">Holds one xl configuration per machine, <c>{machine}.cfg</c>, of type pvh. Name and memory come from the machine's definition.</param>
/// <param name="Xl">Xen's command line.</param>
public sealed record XenHypervisorOptions(string ConfigurationDirectory, string Xl = "xl")
{
    /// <summary>Folder of the snapshots, for root alone, on a disk with room for the memory of the machines.</summary>
    public string SnapshotDirectory { get; init; } = "/var/lib/specmesh/snapshots";
}

/// <summary>PVH domains of a stock Xen host. It runs in the control domain, as root.</summary>
public sealed partial class XenHypervisor(XenHypervisorOptions options, TimeProvider time) : IHypervisor, IDisposable
{
    private readonly Lock gate = new();
    private XenHost? host;
    private bool disposed;

    public string Name => "xen";

    public async Task<HypervisorCapabilities> ProbeAsync(CancellationToken cancellationToken)
    {
        const string tracker = "xen-log-dirty";
        string capable = await Host().Xl.RunAsync(["info", "virt_caps"], cancellationToken);
        string? reason = capable.Split(' ', '\n').Contains("hap") ? null : $"the hypervisor or the processor has no hardware-assisted paging ({capable.Trim()})";
        return new HypervisorCapabilities(reason is null ? tracker : null, [new DirtyTrackerReport(tracker, reason is null, reason)], CanVerify: false)
        {
            SnapshotsRefused = Snapshots().Test(),
            ProcessorsRefused = null,
            MemoryRefused = null,
        };
    }

    /// <summary>Builds a machine for a power-on from its configuration. A shell for an image is built by <see cref="Receiving.XenReceiver"/>, which needs to know the source's domain.</summary>
    public async Task<IGuest> BuildPausedAsync(GuestSpec spec, CancellationToken cancellationToken)
    {
        XenHost xen = Host();
        string configuration = Validate(spec);
        string name = spec.Tag.VmId;
        await xen.Xl.RunAsync(["create", "-q", "-p", "-e", configuration, $"name=\"{name}\"", $"memory={spec.Vm.MemoryBytes >> 20}"], cancellationToken);
        ListedDomain built = (await xen.Xl.ListAsync(CancellationToken.None)).Single(domain => domain.Name == name);
        try
        {
            if (xen.Control.Find(built.DomainId) is not { IsHvm: true })
            {
                throw new HypervisorException($"{configuration} does not describe a domain of type pvh; others could not be migrated.");
            }

            return XenGuest.Attach(xen, time, built.DomainId, spec.Tag);
        }
        catch
        {
            await xen.Xl.DestroyAsync(built.DomainId, CancellationToken.None);
            throw;
        }
    }

    public Task<IReadOnlyList<IGuest>> FindGuestsAsync(CancellationToken cancellationToken) => Task.Run(() => FindAsync(cancellationToken), cancellationToken);

    public void Dispose()
    {
        lock (gate)
        {
            disposed = true;
            snapshots?.Dispose();
            host?.Dispose();
            host = null;
        }
    }

    private async Task<IReadOnlyList<IGuest>> FindAsync(CancellationToken cancellationToken)
    {
        XenHost xen = Host();
        List<IGuest> guests = [];
        foreach (XenDomainInfo domain in xen.Control.List())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!domain.Dying && XenGuest.Attach(xen, time, domain.DomainId) is { } guest)
            {
                if (domain.Ended)
                {
                    await guest.DestroyAsync(cancellationToken);
                    await guest.DisposeAsync();
                }
                else
                {
                    guests.Add(guest);
                }
            }
        }

        return guests;
    }

    private XenHost Host()
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            return host ??= new XenHost(new XlCommand(options.Xl, time));
        }
    }

    private string Validate(GuestSpec spec)
    {
        const long megabyte = 1 << 20;
        string vmId = spec.Tag.VmId;
        if (vmId.Length is 0 or > 63 || vmId[0] == '-' || vmId.Any(c => c is not ((>= 'a' and <= 'z') or (>= '0' and <= '9') or '-')))
        {
            throw new HypervisorException("A machine's id is 1 to 63 of a-z, 0-9 and -, and does not begin with -.");
        }

        if (!spec.PowerOn)
        {
            throw new HypervisorException("The Xen driver builds no empty shell: a receiver builds the domain from what the source says of its own.");
        }

        if (spec.Vm.MemoryBytes < megabyte || spec.Vm.MemoryBytes % megabyte != 0)
        {
            throw new HypervisorException($"A domain's memory is a multiple of {megabyte} bytes; {spec.Vm.MemoryBytes} is not.");
        }

        string configuration = Path.Combine(options.ConfigurationDirectory, vmId + ".cfg");
        return File.Exists(configuration) ? configuration : throw new HypervisorException($"There is no {configuration}: it says what kernel and devices {vmId} has.");
    }
}
