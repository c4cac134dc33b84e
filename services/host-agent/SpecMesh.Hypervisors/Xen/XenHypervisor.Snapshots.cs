using SpecMesh.Hypervisors.Xen.Native;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>Snapshots, clones and changes of domains.</summary>
public sealed partial class XenHypervisor : ISnapshots, IReconfigure
{
    private XenSnapshots? snapshots;

    public Task<Snapshot> SaveAsync(IGuest guest, string snapshot, CancellationToken cancellationToken)
    {
        SnapshotDirectory.RequireName(snapshot, "snapshot's name");
        XenGuest saved = Own(guest);
        return saved.SaveAsync(domainId => Snapshots().SaveAsync(domainId, saved.Tag.VmId, snapshot, cancellationToken));
    }

    public async Task<IGuest> RestoreAsync(string snapshot, GuestTag tag, CancellationToken cancellationToken) =>
        await AttachAsync(tag, await Snapshots().RestoreAsync(snapshot, tag.VmId, cancellationToken));

    public async Task<IGuest> CloneAsync(string snapshot, GuestTag tag, CancellationToken cancellationToken) =>
        await AttachAsync(tag, await Snapshots().CloneAsync(snapshot, tag.VmId, cancellationToken));

    public Task<IReadOnlyList<Snapshot>> ListSnapshotsAsync(CancellationToken cancellationToken) => Task.Run(() => Snapshots().List(), cancellationToken);

    public Task RemoveSnapshotAsync(string snapshot, CancellationToken cancellationToken) => Task.Run(() => Snapshots().Remove(snapshot), cancellationToken);

    public Task SetProcessorsAsync(IGuest guest, int count, CancellationToken cancellationToken)
    {
        XenHost xen = Host();
        return Own(guest).ChangeAsync(domainId => new XenReconfigure(xen.Xl, MemoryOf(xen), time).SetProcessorsAsync(domainId, count, () => Of(xen, domainId).OnlineProcessors, cancellationToken));
    }

    /// <summary>Refused while the guest is migrated or saved: memory that it gives back or takes changes which page frames there are.</summary>
    public Task SetMemoryAsync(IGuest guest, long bytes, CancellationToken cancellationToken)
    {
        XenHost xen = Host();
        return Own(guest).ChangeAsync(async domainId =>
        {
            using IDisposable claim = XenGuest.Claim(xen, domainId, "a change of memory");
            await new XenReconfigure(xen.Xl, MemoryOf(xen), time).SetMemoryAsync(domainId, bytes, () => Of(xen, domainId).Pages, cancellationToken);
        });
    }

    private static XenDomainInfo Of(XenHost xen, int domainId) => xen.Control.Find(domainId) ?? throw new HypervisorException($"Domain {domainId} has ended.");

    private static XenGuest Own(IGuest guest) => (guest is XenShell shell ? shell.Received : guest) as XenGuest
        ?? throw new ArgumentException($"The guest of {guest.Tag.VmId} is not one of the Xen driver, or not a whole one.", nameof(guest));

    /// <summary>A replica of the machine has another name, and perhaps no domain yet; but it has the machine's tag.</summary>
    private void RequireAbsent(string vmId)
    {
        XenHost xen = Host();
        foreach (XenDomainInfo domain in xen.Control.List().Where(domain => !domain.Dying))
        {
            if (XenGuest.ReadTag(xen, domain.DomainId)?.VmId == vmId)
            {
                throw new HypervisorException($"A guest of {vmId} is on this host already: domain {domain.DomainId}.");
            }
        }
    }

    private async Task<IGuest> AttachAsync(GuestTag tag, RestoredDomain built)
    {
        XenHost xen = Host();
        using IDisposable? begun = built.Begun;
        try
        {
            return XenGuest.Attach(xen, time, built.DomainId, tag, built.MemoryBytes);
        }
        catch
        {
            await xen.Xl.DestroyAsync(built.DomainId, CancellationToken.None);
            throw;
        }
    }

    private XenSnapshots Snapshots()
    {
        XenHost xen = Host();
        lock (gate)
        {
            return snapshots ??= new XenSnapshots(xen.Xl, MemoryOf(xen), new SnapshotDirectory(options.SnapshotDirectory), options.ConfigurationDirectory)
            {
                RequireNoGuest = RequireAbsent,
                Begin = xen.Unfinished.Begin,
            };
        }
    }
}
