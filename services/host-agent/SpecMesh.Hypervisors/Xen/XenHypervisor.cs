using System.Text.RegularExpressions;
using SpecMesh.Contracts;
using SpecMesh.Hypervisors.Xen.Format;
using SpecMesh.Hypervisors.Xen.Native;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>Where the driver finds what it needs.</summary>
/// <param name="ConfigurationDirectory">Holds one xl configuration per machine, <c>{machine}.cfg</c>, of type pvh. Name and memory come from the machine's definition.</param>
/// <param name="Xl">Xen's command line.</param>
/// <param name="ZeroPages">How pages of zeros travel from the agent to a receiver on this host.</param>
public sealed record XenHypervisorOptions(string ConfigurationDirectory, string Xl = "xl", ZeroPages ZeroPages = ZeroPages.AsData)
{
    /// <summary>Folder of the snapshots, for root alone, on a disk with room for the memory of the machines.</summary>
    public string SnapshotDirectory { get; init; } = "/var/lib/specmesh/snapshots";
}

/// <summary>PVH domains of a stock Xen host. It runs in the control domain, as root.</summary>
public sealed partial class XenHypervisor(XenHypervisorOptions options, TimeProvider time) : IHypervisor, IDisposable
{
    private const long Megabyte = 1 << 20;

    private readonly Lock gate = new();
    private readonly List<XenShell> shells = [];
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

    /// <summary>Builds a machine for a power-on from its configuration. Until it runs it is called as a replica that waits, so that one that was left behind is known for what it is.</summary>
    public async Task<IGuest> BuildPausedAsync(GuestSpec spec, CancellationToken cancellationToken)
    {
        XenHost xen = Host();
        Validate(spec);
        string configuration = ConfigurationOf(spec.Tag.VmId);
        string name = spec.Tag is { OperationId: not null, Replica: not null } ? ReplicaName.Incoming(spec.Tag) : spec.Tag.VmId;
        await MemoryOf(xen).RequireAsync(FreeMemory.NeedOf(spec.Vm.MemoryBytes), cancellationToken);
        Guid uuid = UuidIn(await File.ReadAllTextAsync(configuration, cancellationToken)) ?? Guid.NewGuid();
        await xen.Xl.RequireAbsentAsync(spec.Tag.VmId, domain => domain.Uuid == uuid, cancellationToken);
        using IDisposable begun = xen.Unfinished.Begin(uuid);
        try
        {
            await xen.Xl.RunAsync(["create", "-q", "-p", "-e", configuration, $"name=\"{name}\"", $"uuid=\"{uuid}\"", $"memory={spec.Vm.MemoryBytes >> 20}"], cancellationToken);
            ListedDomain built = (await xen.Xl.ListAsync(CancellationToken.None)).Single(domain => domain.Name == name);
            await xen.ReadConfigurationAsync(built.DomainId, cancellationToken);
            return XenGuest.Attach(xen, time, built.DomainId, spec.Tag, spec.Vm.MemoryBytes);
        }
        catch
        {
            await xen.Xl.DestroyPartsAsync(uuid);
            throw;
        }
    }

    /// <summary>
    /// Makes what will receive a domain. Nothing is built before the source has said what its domain is; but a host that has too little memory for it says so now, before a page has travelled.
    /// </summary>
    public async Task<IShell> BuildShellAsync(GuestSpec spec, CancellationToken cancellationToken)
    {
        XenHost xen = Host();
        Validate(spec);
        long free = await xen.Xl.ReadFreeMemoryBytesAsync(cancellationToken);
        XenShell shell = new(new XenShellOptions(xen.Xl, spec.Tag, spec.Vm.MemoryBytes, options.ZeroPages, time, name => Attach(xen, name, spec)) { Begin = xen.Unfinished.Begin });
        lock (gate)
        {
            MemoryOf(xen).Require(FreeMemory.NeedOf(spec.Vm.MemoryBytes), free);
            shells.Add(shell);
        }

        return shell;
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

    /// <summary>
    /// Finds what carries a tag, and removes what nobody can want: domains that have ended, and replicas without a tag. A replica is tagged before anybody can count on it, so one that is
    /// not, and that this agent does not receive just now, was left by an agent that has died, and by its receiver. So is what such an agent has begun to build and nothing ever ran in.
    /// </summary>
    private async Task<IReadOnlyList<IGuest>> FindAsync(CancellationToken cancellationToken)
    {
        XenHost xen = Host();
        Dictionary<int, string?> names = (await xen.Xl.ListAsync(cancellationToken)).ToDictionary(domain => domain.DomainId, domain => domain.Name);
        HashSet<string> received = ReceivedNow();
        List<IGuest> guests = [];
        foreach (XenDomainInfo domain in xen.Control.List().Where(domain => !domain.Dying))
        {
            cancellationToken.ThrowIfCancellationRequested();
            string? name = names.GetValueOrDefault(domain.DomainId);
            bool isReplica = ReplicaName.IsOne(name);
            if (XenGuest.Attach(xen, time, domain.DomainId) is not { } guest)
            {
                bool unwanted = isReplica ? !received.Contains(name!) : xen.Unfinished.IsLeft(domain);
                if (unwanted)
                {
                    await xen.Xl.DestroyAsync(domain.DomainId, cancellationToken);
                    xen.Unfinished.Forget(domain.Uuid);
                }
            }
            else if (domain.Ended)
            {
                await guest.DestroyAsync(cancellationToken);
                await guest.DisposeAsync();
            }
            else
            {
                await (isReplica && guest.State == GuestState.Running ? guest.RenameAsync(cancellationToken) : Task.CompletedTask);
                guests.Add(guest);
            }
        }

        return guests;
    }

    /// <summary>Without a process of xl, which would take longer than all the rest of what the machine stands still for.</summary>
    private XenGuest? Attach(XenHost xen, string name, GuestSpec spec) =>
        xen.Control.List().FirstOrDefault(domain => !domain.Dying && xen.Store.Read($"/local/domain/{domain.DomainId}/name") == name) is { } complete
            ? XenGuest.Attach(xen, time, complete.DomainId, spec.Tag, spec.Vm.MemoryBytes)
            : null;

    private HashSet<string> ReceivedNow()
    {
        lock (gate)
        {
            return [.. shells.Where(shell => shell.IsReceiving).SelectMany(shell => new[] { ReplicaName.Of(shell.Tag), ReplicaName.Incoming(shell.Tag) })];
        }
    }

    private XenHost Host()
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            return host ??= new XenHost(new XlCommand(options.Xl, time));
        }
    }

    /// <summary>Bytes that replicas on their way here have not taken yet.</summary>
    private long Promised()
    {
        lock (gate)
        {
            shells.RemoveAll(shell => !shell.IsReceiving);
            return shells.Sum(shell => FreeMemory.NeedOf(shell.AwaitedBytes));
        }
    }

    private FreeMemory MemoryOf(XenHost xen) => new(xen.Xl, Promised);

    private static void Validate(GuestSpec spec)
    {
        SnapshotDirectory.RequireName(spec.Tag.VmId, "machine's id");
        if (spec.Vm.MemoryBytes < Megabyte || spec.Vm.MemoryBytes % Megabyte != 0)
        {
            throw new HypervisorException($"A domain's memory is a multiple of {Megabyte} bytes; {spec.Vm.MemoryBytes} is not.");
        }
    }

    /// <summary>The UUID that an xl configuration sets; null when it leaves that to xl. Of two settings of one name xl takes the later.</summary>
    private static Guid? UuidIn(string configuration) =>
        UuidSetting().Matches(configuration) is [.., Match last] && Guid.TryParse(last.Groups[1].Value, out Guid uuid) ? uuid : null;

    [GeneratedRegex("""^\s*uuid\s*=\s*["']([0-9a-fA-F-]{36})["']""", RegexOptions.Multiline | RegexOptions.CultureInvariant)]
    private static partial Regex UuidSetting();

    private string ConfigurationOf(string vmId)
    {
        string configuration = Path.Combine(options.ConfigurationDirectory, vmId + ".cfg");
        return File.Exists(configuration) ? configuration : throw new HypervisorException($"There is no {configuration}: it says what kernel and devices {vmId} has.");
    }
}
