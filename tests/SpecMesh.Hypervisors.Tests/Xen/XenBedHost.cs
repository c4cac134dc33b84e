using System.Globalization;
using System.Runtime.InteropServices;
using SpecMesh.Contracts;
using SpecMesh.Hypervisors.Xen;
using SpecMesh.Hypervisors.Xen.Format;
using SpecMesh.Hypervisors.Xen.Native;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>
/// A real Xen host, seen from its control domain. Its guests are PVH domains with the kernel and the program of the test bed (<c>tests/xenbed/guest/init.c</c>), which hold memory whose
/// every byte they can tell, and say in xenstore what they found: nobody else could tell.
/// </summary>
internal sealed class XenBedHost : HostUnderTest
{
    /// <summary>Parameters of a domain with the page frames of its rings (<c>xen/include/public/hvm/params.h</c>).</summary>
    public const uint StoreRing = 1;
    public const uint ConsoleRing = 17;

    private const string GuestFiles = "/opt/specmesh/guest";
    private const long GuestBytes = 80L << 20;
    private readonly List<XenHypervisor> drivers = [];
    private readonly XlCommand xl = new("xl", TimeProvider.System);

    /// <param name="processors">Processors of the machines. Fewer boot sooner.</param>
    public XenBedHost(int processors = 1)
    {
        foreach (string machine in new[] { VmId, VmId + "-b" })
        {
            File.WriteAllText(Path.Combine(Folder, machine + ".cfg"), $"""
                type = "pvh"
                kernel = "{GuestFiles}/vmlinuz"
                ramdisk = "{GuestFiles}/initrd"
                vcpus = {processors}
                tsc_mode = "native"
                extra = "console=hvc0 quiet tsc=reliable pages=512 rate=200"

                """);
        }
    }

    /// <summary>Why tests that need such a host cannot run here; null when they can.</summary>
    public static string? ReasonAgainst { get; } = FindReason();

    public XlCommand Xl => xl;

    protected override TimeSpan Patience => TimeSpan.FromSeconds(180);

    protected override TimeSpan LookInterval => TimeSpan.FromMilliseconds(250);

    /// <summary>Progress is processor time: so a step is half a millisecond of it.</summary>
    protected override long ProgressPerStep => 500_000;

    public override IHypervisor Hypervisor()
    {
        XenHypervisor driver = new(new XenHypervisorOptions(Folder) { SnapshotDirectory = SnapshotFolder }, TimeProvider.System);
        drivers.Add(driver);
        return driver;
    }

    public override GuestSpec Spec(double pagesPerSecond = 200, long pageCount = 0) => new(new GuestTag(VmId, null, null, 1), new VmDefinition(GuestBytes));

    /// <summary>Emulation takes a second for what takes a processor a millisecond.</summary>
    public override int Times(int often) => Math.Max(2, often / 10);

    public override async Task KillAsync(IGuest guest)
    {
        await xl.DestroyAsync(DomainOf(guest.Tag.VmId).Id, CancellationToken.None);
        await WaitForExitAsync(guest);
    }

    public override IReadOnlyList<(GuestSpec Spec, string Reason)> Unbuildable()
    {
        GuestSpec good = Spec();
        return
        [
            (good with { Tag = good.Tag with { VmId = VmId + "-c" } }, "There is no"),
            (good with { Vm = good.Vm with { MemoryBytes = 1L << 42 } }, "do not fit"),
        ];
    }

    /// <summary>Domains of this test's machines, and such without a name.</summary>
    public override IReadOnlyList<string> Remains() =>
        [.. xl.ListAsync(CancellationToken.None).GetAwaiter().GetResult().Where(IsOurs).Select(domain => $"domain {domain.DomainId} {domain.Name}")];

    /// <summary>What the guest says: of one that runs, what it finds from now on. One that stands still has said it before.</summary>
    public override async Task<GuestVerification> VerifyAsync(IGuest guest)
    {
        int domainId = DomainOf(guest.Tag).Id;
        long from = Said(domainId)?.Tick ?? 0;
        long wanted = guest.State == GuestState.Running ? from + 2 : from;
        Assert.True(await BecomesAsync(() => Said(domainId)?.Tick >= wanted), $"Domain {domainId} says no more than {Said(domainId)}.");
        (long tick, long bad) = Said(domainId)!.Value;
        return new GuestVerification(bad == 0, tick, bad, bad == 0 ? -1 : 0);
    }

    /// <summary>The domain that runs, or waits, under a machine's name.</summary>
    public (int Id, Guid Uuid) DomainOf(string name)
    {
        ListedDomain domain = Assert.Single(xl.ListAsync(CancellationToken.None).GetAwaiter().GetResult(), domain => domain.Name == name);
        return (domain.DomainId, domain.Uuid);
    }

    /// <summary>
    /// The rings through which the control domain talks with the guest's console and store, which it writes, and words of events (<c>xen/include/public/event_channel.h</c>), in which the
    /// hypervisor notes that an event has come for a port that the guest has masked. Neither is in the hypervisor's log. A stock receiver clears the rings
    /// (<c>xg_sr_restore_x86_hvm.c</c>), and a guest begins anew with its events when it is resumed.
    /// </summary>
    public override bool IsOfTheHost(IGuest guest, long page, ReadOnlySpan<byte> had, ReadOnlySpan<byte> has)
    {
        const uint pending = 1u << 31;
        const uint masked = 1u << 30;
        using XenHost host = new(xl);
        int domainId = DomainOf(guest.Tag).Id;
        if (page == PageOf(guest, host.Control.ReadHvmParam(domainId, StoreRing)) || page == PageOf(guest, host.Control.ReadHvmParam(domainId, ConsoleRing)))
        {
            return true;
        }

        ReadOnlySpan<uint> words = MemoryMarshal.Cast<byte, uint>(had);
        ReadOnlySpan<uint> now = MemoryMarshal.Cast<byte, uint>(has);
        for (int i = 0; i < words.Length; i++)
        {
            if (words[i] != now[i] && (now[i] != (words[i] | pending) || (now[i] & masked) == 0))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The page that a page frame is.</summary>
    public long PageOf(IGuest guest, ulong frame)
    {
        MemoryLayout layout = ((XenGuestMemory)guest.Memory).Layout;
        int run = Enumerable.Range(0, layout.Runs.Count).First(i => (long)frame >= layout.Runs[i].FirstPfn && (long)frame < layout.Runs[i].FirstPfn + layout.Runs[i].Count);
        return layout.FirstPages[run] + (long)frame - layout.Runs[run].FirstPfn;
    }

    protected override async Task BegunAsync(IGuest guest)
    {
        int domainId = DomainOf(guest.Tag).Id;
        Assert.True(await BecomesAsync(() => Said(domainId)?.Tick > 2), $"Domain {domainId} has not begun; it says {Said(domainId)}.");
    }

    protected override async Task EndRemainsAsync()
    {
        foreach (ListedDomain domain in (await xl.ListAsync(CancellationToken.None)).Where(IsOurs))
        {
            await xl.DestroyAsync(domain.DomainId, CancellationToken.None);
        }

        drivers.ForEach(driver => driver.Dispose());
    }

    /// <summary>The domain of a tag. A guest that was received had another name before it ran, and keeps it where its own is taken.</summary>
    private (int Id, Guid Uuid) DomainOf(GuestTag tag)
    {
        using XenHost host = new(xl);
        XenDomainInfo domain = Assert.Single(host.Control.List(), domain => !domain.Dying && XenGuest.ReadTag(host, domain.DomainId) == tag);
        return (domain.DomainId, domain.Uuid);
    }

    private bool IsOurs(ListedDomain domain) => domain.Name is null || domain.Name.StartsWith(VmId, StringComparison.Ordinal);

    private static (long Tick, long Bad)? Said(int domainId)
    {
        using XenStore store = new();
        return store.Read($"/local/domain/{domainId}/data/specmesh") is { } text && text.Split(' ', '=') is ["TICK", var tick, "bad", var bad]
            ? (long.Parse(tick, CultureInfo.InvariantCulture), long.Parse(bad, CultureInfo.InvariantCulture))
            : null;
    }

    private static string? FindReason()
    {
        const string capabilities = "/proc/xen/capabilities";
        if (!File.Exists(capabilities) || !File.ReadAllText(capabilities).Contains("control_d", StringComparison.Ordinal))
        {
            return "this machine is no control domain of a Xen host; tests/xenbed/compliance runs these tests in one";
        }

        return Directory.Exists(GuestFiles) ? null : $"{GuestFiles} with the test bed's guest is not here";
    }
}
