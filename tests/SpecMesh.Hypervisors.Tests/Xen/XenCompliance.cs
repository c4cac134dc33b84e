using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Xen;
using SpecMesh.Hypervisors.Xen.Native;

namespace SpecMesh.Hypervisors.Tests.Xen;

[NeedsXen]
public sealed class XenCompliance() : HypervisorCompliance(new XenBedHost());

[NeedsXen]
public sealed class XenDirtyLogCompliance() : DirtyLogCompliance(new XenBedHost());

[NeedsXen]
public sealed class XenSnapshotCompliance() : SnapshotCompliance(new XenBedHost());

/// <summary>What only domains of a real Xen host have.</summary>
[NeedsXen]
public sealed class XenDomains() : OnHost(new XenBedHost(processors: 2))
{
    private static readonly CancellationToken None = CancellationToken.None;

    private XenBedHost Here => (XenBedHost)Host;

    [TrackerFact]
    public async Task a_clone_has_a_new_name_and_a_new_id_and_a_restored_machine_keeps_both()
    {
        ISnapshots snapshots = (ISnapshots)Host.Hypervisor();
        IGuest guest = await Host.RunAsync();
        Guid uuid = Here.DomainOf(Host.VmId).Uuid;
        await snapshots.SaveAsync(guest, "s", None);
        IGuest clone = Host.Keep(await snapshots.CloneAsync("s", guest.Tag with { VmId = Host.VmId + "-b" }, None));
        Assert.NotEqual(uuid, Here.DomainOf(Host.VmId + "-b").Uuid);

        await clone.DestroyAsync(None);
        await guest.DestroyAsync(None);
        Host.Keep(await snapshots.RestoreAsync("s", guest.Tag, None));
        Assert.Equal(uuid, Here.DomainOf(Host.VmId).Uuid);
    }

    [TrackerFact]
    public async Task a_running_domain_gets_and_gives_back_processors_and_memory()
    {
        IReconfigure reconfigure = (IReconfigure)Host.Hypervisor();
        IGuest guest = await Host.RunAsync();
        await reconfigure.SetProcessorsAsync(guest, 1, None);
        Assert.Equal(1, Now().OnlineProcessors);
        await reconfigure.SetProcessorsAsync(guest, 2, None);
        Assert.Equal(2, Now().OnlineProcessors);

        long before = Now().Pages;
        await reconfigure.SetMemoryAsync(guest, 78 << 20, None);
        Assert.InRange(Now().Pages, (78 << 8) - 1, before - 1);
        await reconfigure.SetMemoryAsync(guest, 80 << 20, None);
        Assert.Equal(before, Now().Pages);
        await Assert.ThrowsAsync<HypervisorException>(() => reconfigure.SetMemoryAsync(guest, 128 << 20, None));
        Assert.True((await Host.VerifyAsync(guest)).Intact);
    }

    [TrackerFact]
    public async Task a_domain_that_migrates_is_not_saved_and_the_snapshot_leaves_the_log_alone()
    {
        XenHypervisor hypervisor = (XenHypervisor)Host.Hypervisor();
        IGuest guest = Host.Keep(await hypervisor.BuildPausedAsync(Host.Spec(), None));
        await Host.StartAsync(guest);
        using IDirtyLog log = guest.OpenDirtyLog();
        log.Start();

        HypervisorException refusal = await Assert.ThrowsAsync<HypervisorException>(() => hypervisor.SaveAsync(guest, "s", None));
        Assert.Contains("needed by a migration", refusal.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<HypervisorException>(() => hypervisor.SetMemoryAsync(guest, 79 << 20, None));
        log.Harvest(new PageBitmap(guest.Memory.PageCount));
        log.Stop();
        await hypervisor.SaveAsync(guest, "s", None);
        log.Start();
        log.Harvest(new PageBitmap(guest.Memory.PageCount));
    }

    [TrackerFact]
    public async Task a_log_that_another_program_reads_is_not_taken_from_it_by_a_snapshot()
    {
        ISnapshots snapshots = (ISnapshots)Host.Hypervisor();
        IGuest guest = await Host.RunAsync();
        using XenHost other = new(Here.Xl);
        int domainId = Here.DomainOf(Host.VmId).Id;
        Assert.True(other.Control.EnableLogDirty(domainId));

        HypervisorException refusal = await Assert.ThrowsAsync<HypervisorException>(() => snapshots.SaveAsync(guest, "s", None));
        Assert.Contains("Another program", refusal.Message, StringComparison.Ordinal);
        Assert.False(other.Control.EnableLogDirty(domainId), "The other program's log was turned off.");
        other.Control.StopLogDirty(domainId);
    }

    [TrackerFact]
    public async Task a_save_that_is_cancelled_in_the_middle_lets_the_domain_go_on()
    {
        ISnapshots snapshots = (ISnapshots)Host.Hypervisor();
        IGuest guest = await Host.RunAsync();
        using CancellationTokenSource cancel = new();
        Task save = snapshots.SaveAsync(guest, "s", cancel.Token);
        Assert.True(await Host.BecomesAsync(() => Directory.Exists(Host.SnapshotFolder) && Directory.GetFiles(Host.SnapshotFolder).Any(file => new FileInfo(file).Length > 1 << 20)));
        Assert.Equal(SpecMesh.Contracts.GuestState.Running, guest.State);
        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => save);
        Assert.Empty(Directory.GetFiles(Host.SnapshotFolder));
        await Host.WaitForStepsAsync(guest, 100);
        Assert.True((await Host.VerifyAsync(guest)).Intact);
        await snapshots.SaveAsync(guest, "s", None);
    }

    /// <summary>A write to a node that the guest watches: xenstored tells it so, through the ring in the guest's memory, and sends it an event.</summary>
    [TrackerFact]
    public async Task what_the_host_writes_into_a_guest_that_stands_still_is_not_in_the_log_and_nothing_else_changes()
    {
        IGuest guest = await Host.RunAsync();
        using IDirtyLog log = guest.OpenDirtyLog();
        log.Start();
        await guest.SuspendAsync(None);
        log.Harvest(new PageBitmap(guest.Memory.PageCount));
        byte[] before = HostUnderTest.Copy(guest);
        using XenHost host = new(Here.Xl);
        int id = Here.DomainOf(Host.VmId).Id;
        long ring = Here.PageOf(guest, host.Control.ReadHvmParam(id, XenBedHost.StoreRing));
        host.Store.Write($"/local/domain/{id}/control/shutdown", "");

        byte[] now = new byte[IGuestMemory.PageBytes];
        Assert.True(await Host.BecomesAsync(() => !Changed(ring).IsEmpty), "xenstored has written nothing.");
        PageBitmap logged = new(guest.Memory.PageCount);
        log.Harvest(logged);
        Assert.True(logged.IsEmpty);
        for (long page = 0; page < guest.Memory.PageCount; page++)
        {
            Assert.True(Changed(page) is { IsEmpty: true } || Host.IsOfTheHost(guest, page, Before(page), now), $"page {page}");
        }

        ReadOnlySpan<byte> Before(long page) => before.AsSpan((int)page * IGuestMemory.PageBytes, IGuestMemory.PageBytes);

        ReadOnlySpan<byte> Changed(long page)
        {
            guest.Memory.Read(page, now);
            return now.AsSpan().SequenceEqual(Before(page)) ? [] : now;
        }
    }

    [TrackerFact]
    public async Task a_build_that_is_cancelled_in_the_middle_leaves_nothing()
    {
        using CancellationTokenSource cancel = new();
        Task<IGuest> build = Host.Hypervisor().BuildPausedAsync(Host.Spec(), cancel.Token);
        Assert.True(await Host.BecomesAsync(() => build.IsCompleted || Host.Remains().Count > 0));
        await cancel.CancelAsync();
        if (await Record.ExceptionAsync(() => build) is null)
        {
            // It was there before the cancel came.
            await Host.Keep(await build).DestroyAsync(None);
        }

        Assert.Empty(Host.Remains());
    }

    [TrackerFact]
    public async Task what_a_dead_agent_had_begun_to_build_goes_at_the_next_start_and_nothing_else_does()
    {
        using XenHost dead = new(Here.Xl);
        Guid[] built = [await NewDomainAsync(Host.VmId), await NewDomainAsync(Host.VmId + "-b"), await NewDomainAsync(Host.VmId + "-c")];
        _ = dead.Unfinished.Begin(built[0]);
        _ = dead.Unfinished.Begin(built[1]);
        int nameless = Here.DomainOf(Host.VmId).Id;
        Assert.True(dead.Store.Remove($"/local/domain/{nameless}/name"));
        int started = Here.DomainOf(Host.VmId + "-b").Id;
        await Here.Xl.RunAsync(["unpause", $"{started}"], None);
        Assert.True(await Host.BecomesAsync(() => dead.Control.Find(started)!.CpuTimeNs > 0));

        Assert.Empty(await Host.Hypervisor().FindGuestsAsync(None));
        Guid[] left = [.. (await Here.Xl.ListAsync(None)).Select(domain => domain.Uuid)];
        Assert.DoesNotContain(built[0], left);
        Assert.Null(dead.Store.Read(UnfinishedDomains.PathOf(built[0])));
        Assert.Contains(built[1], left);
        Assert.Contains(built[2], left);
    }

    /// <summary>A paused domain that no driver has tagged.</summary>
    private async Task<Guid> NewDomainAsync(string name)
    {
        Guid uuid = Guid.NewGuid();
        await Here.Xl.RunAsync(["create", "-q", "-p", "-e", Path.Combine(Host.Folder, Host.VmId + ".cfg"), $"name=\"{name}\"", $"uuid=\"{uuid}\"", "memory=80"], None);
        return uuid;
    }

    private XenDomainInfo Now()
    {
        using XenHost host = new(Here.Xl);
        return host.Control.Find(Here.DomainOf(Host.VmId).Id)!;
    }
}
