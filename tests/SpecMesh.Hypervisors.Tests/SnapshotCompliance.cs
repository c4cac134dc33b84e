using SpecMesh.Contracts;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>What every driver promises of machines that are kept in files.</summary>
public abstract class SnapshotCompliance(HostUnderTest host) : OnHost(host)
{
    private const string Name = "before-upgrade";
    private static readonly CancellationToken None = CancellationToken.None;

    private ISnapshots Snapshots { get; } = (ISnapshots)host.Hypervisor();

    private GuestTag Tag => new(Host.VmId, null, null, 1);

    private GuestTag CloneTag => new(Host.VmId + "-b", null, null, 1);

    [TrackerFact]
    public async Task a_machine_goes_on_while_it_is_saved_and_its_clone_goes_on_from_there()
    {
        IGuest guest = await Host.RunAsync();
        await Host.WaitForStepsAsync(guest, 500);
        GuestVerification before = await Host.VerifyAsync(guest);
        Snapshot snapshot = await Snapshots.SaveAsync(guest, Name, None);
        Assert.Equal((Name, Host.VmId, GuestState.Running), (snapshot.Name, snapshot.VmId, guest.State));
        await Host.WaitForStepsAsync(guest, 500);

        IGuest clone = Host.Keep(await Snapshots.CloneAsync(Name, CloneTag, None));
        Assert.Equal((CloneTag, GuestState.Paused), (clone.Tag, clone.State));
        await clone.StartAsync(HostUnderTest.CommitOf(clone.Tag), None);
        await Host.WaitForStepsAsync(clone, 500);
        await Host.WaitForStepsAsync(guest, 500);
        GuestVerification[] after = [await Host.VerifyAsync(clone), await Host.VerifyAsync(guest)];
        Assert.All(after, found => Assert.True(found.Intact && found.Steps > before.Steps, $"{before} {found}"));
    }

    [TrackerFact]
    public async Task a_machine_is_restored_paused_under_its_own_name_and_only_where_it_is_not()
    {
        IGuest guest = await Host.RunAsync();
        await Host.WaitForStepsAsync(guest, 500);
        await Snapshots.SaveAsync(guest, Name, None);
        await RefusedAsync("on this host already", () => Snapshots.RestoreAsync(Name, Tag, None));
        await guest.DestroyAsync(None);

        IGuest restored = Host.Keep(await Snapshots.RestoreAsync(Name, Tag with { Epoch = 4 }, None));
        Assert.Equal((Tag with { Epoch = 4 }, GuestState.Paused), (restored.Tag, restored.State));
        await restored.StartAsync(HostUnderTest.CommitOf(restored.Tag), None);
        await Host.WaitForStepsAsync(restored, 500);
        GuestVerification found = await Host.VerifyAsync(restored);
        Assert.True(found.Intact, $"{found}");
        Assert.Equal(Tag with { Epoch = 4 }, Assert.Single(await Host.FindAsync()).Tag);
    }

    [TrackerFact]
    public async Task a_snapshot_is_restored_under_its_machines_name_only_and_cloned_under_others_only()
    {
        IGuest guest = await Host.RunAsync();
        await Snapshots.SaveAsync(guest, Name, None);

        await RefusedAsync("can be cloned", () => Snapshots.RestoreAsync(Name, CloneTag, None));
        await RefusedAsync("a name of its own", () => Snapshots.CloneAsync(Name, Tag, None));
        await RefusedAsync("There is no snapshot", () => Snapshots.RestoreAsync("another", Tag, None));
        await RefusedAsync("machine's id", () => Snapshots.CloneAsync(Name, Tag with { VmId = "../vm" }, None));
        Assert.Single(await Host.FindAsync());
    }

    [TrackerFact]
    public async Task a_name_that_is_more_than_a_name_is_refused()
    {
        IGuest guest = await Host.RunAsync();
        foreach (string name in new[] { "", "-a", "..", "a/b", "../../etc/passwd", "a.snapshot", "A" })
        {
            await RefusedAsync("snapshot's name", () => Snapshots.SaveAsync(guest, name, None));
            await RefusedAsync("snapshot's name", () => Snapshots.RestoreAsync(name, Tag, None));
            await RefusedAsync("snapshot's name", () => Snapshots.RemoveSnapshotAsync(name, None));
        }

        Assert.Equal(GuestState.Running, guest.State);
    }

    [TrackerFact]
    public async Task only_a_running_guest_is_saved()
    {
        IGuest guest = await Host.BuildAsync(Host.Spec());
        await RefusedAsync("is Paused", () => Snapshots.SaveAsync(guest, Name, None));
        await Host.StartAsync(guest);
        await Host.WaitForStepsAsync(guest, 10);
        await guest.SuspendAsync(None);
        await RefusedAsync("is Suspended", () => Snapshots.SaveAsync(guest, Name, None));
        Assert.Equal(GuestState.Suspended, guest.State);
        await guest.DestroyAsync(None);
        await RefusedAsync("gone", () => Snapshots.SaveAsync(guest, Name, None));

        Assert.Empty(await Snapshots.ListSnapshotsAsync(None));
        Assert.Empty(Files());
    }

    [TrackerFact]
    public async Task a_snapshot_is_not_replaced_and_can_be_removed()
    {
        IGuest guest = await Host.RunAsync();
        Snapshot first = await Snapshots.SaveAsync(guest, Name, None);
        await RefusedAsync("not replaced", () => Snapshots.SaveAsync(guest, Name, None));
        Snapshot second = await Snapshots.SaveAsync(guest, "a-second", None);
        Assert.Equal([second, first], await Snapshots.ListSnapshotsAsync(None));

        await Snapshots.RemoveSnapshotAsync(Name, None);
        await Snapshots.RemoveSnapshotAsync(Name, None);
        Assert.Equal([second], await Snapshots.ListSnapshotsAsync(None));
        Assert.Equal(GuestState.Running, guest.State);
    }

    [TrackerFact]
    public async Task a_snapshot_is_for_the_agents_user_alone()
    {
        IGuest guest = await Host.RunAsync();
        await Snapshots.SaveAsync(guest, Name, None);

        Assert.Equal("-rw-------", Mode(Assert.Single(Files())));
        Assert.Equal("drwx------", Mode(Host.SnapshotFolder));
        Open(Host.SnapshotFolder);
        await RefusedAsync("0700", () => Snapshots.SaveAsync(guest, "another", None));
        Assert.Contains("0700", (await Host.Hypervisor().ProbeAsync(None)).SnapshotsRefused, StringComparison.Ordinal);
    }

    [TrackerFact]
    public async Task what_a_dead_agent_had_half_written_is_no_snapshot()
    {
        IGuest guest = await Host.RunAsync();
        Snapshot whole = await Snapshots.SaveAsync(guest, Name, None);
        string part = Path.Combine(Host.SnapshotFolder, "half.snapshot.part");
        await File.WriteAllBytesAsync(part, (await File.ReadAllBytesAsync(Files().Single()))[..8192]);

        await RefusedAsync("There is no snapshot", () => Snapshots.CloneAsync("half", CloneTag, None));
        Assert.Equal([whole], await Snapshots.ListSnapshotsAsync(None));
        Assert.False(File.Exists(part));
        await File.WriteAllTextAsync(part, "");
        await Snapshots.SaveAsync(guest, "half", None);
        Assert.Equal(2, Files().Length);
    }

    [TrackerFact]
    public async Task a_snapshot_that_is_not_whole_builds_nothing()
    {
        IGuest guest = await Host.RunAsync();
        await Snapshots.SaveAsync(guest, Name, None);
        using (FileStream file = File.Open(Files().Single(), FileMode.Open))
        {
            file.SetLength(file.Length / 2);
        }

        await Assert.ThrowsAsync<HypervisorException>(() => Snapshots.CloneAsync(Name, CloneTag, None));
        await guest.DestroyAsync(None);
        await Assert.ThrowsAsync<HypervisorException>(() => Snapshots.RestoreAsync(Name, Tag, None));
        Assert.Empty(await Host.FindAsync());
        Assert.Empty(Host.Remains());
    }

    [TrackerFact]
    public async Task a_save_that_is_cancelled_leaves_no_snapshot_and_the_guest_goes_on()
    {
        IGuest guest = await Host.RunAsync();
        using CancellationTokenSource cancel = new();
        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Snapshots.SaveAsync(guest, Name, cancel.Token));
        Assert.Empty(await Snapshots.ListSnapshotsAsync(None));
        Assert.Empty(Files());
        await Host.WaitForStepsAsync(guest, 500);
        await Snapshots.SaveAsync(guest, Name, None);
    }

    private string[] Files() => Directory.Exists(Host.SnapshotFolder) ? Directory.GetFiles(Host.SnapshotFolder) : [];

    private static void Open(string folder)
    {
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(folder, File.GetUnixFileMode(folder) | UnixFileMode.GroupRead);
        }
    }

    private static string Mode(string path)
    {
        string letters = "rwxrwxrwx";
        int mode = OperatingSystem.IsWindows() ? 0 : (int)File.GetUnixFileMode(path);
        return (Directory.Exists(path) ? "d" : "-") + string.Concat(letters.Select((letter, i) => (mode & (1 << (8 - i))) != 0 ? letter : '-'));
    }

    private static async Task RefusedAsync(string reason, Func<Task> call)
    {
        HypervisorException refusal = await Assert.ThrowsAsync<HypervisorException>(call);
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
    }
}
