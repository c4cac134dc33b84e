using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Xen;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>What the driver has <c>xl</c> do for snapshots, clones and changes, and what it makes of every way in which that goes wrong.</summary>
public sealed class XenSnapshotTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly Guid Uuid = Guid.Parse("00000000-0000-0000-0000-0000000000a1");
    private readonly StandInHost host = new();
    private readonly StandInMachines machines;
    private readonly XenSnapshots snapshots;

    public XenSnapshotTests()
    {
        machines = new StandInMachines(host.Folder);
        machines.Add(3, "vm-1", Uuid);
        snapshots = new XenSnapshots(host.Xl, new FreeMemory(host.Xl, () => 0), new SnapshotDirectory(Snapshots), host.Folder);
        File.WriteAllText(Path.Combine(host.Folder, "vm-2.cfg"), "type = \"pvh\"\nname = \"mistaken\"\ndisk = [ \"/vm-2.img\" ]\n");
    }

    private string Snapshots => Path.Combine(host.Folder, "snapshots");

    public void Dispose()
    {
        snapshots.Dispose();
        host.Dispose();
    }

    [Fact]
    public async Task a_clone_has_the_name_and_the_devices_of_its_own_configuration_and_a_new_id()
    {
        await snapshots.SaveAsync(3, "vm-1", "s", None);
        RestoredDomain clone = await snapshots.CloneAsync("s", "vm-2", None);

        (int id, string? name, Guid uuid, string state) = Assert.Single(Domains(), domain => domain.Id != 3);
        Assert.Equal((clone.DomainId, "vm-2", "paused"), (id, name, state));
        Assert.Equal(80L << 20, clone.MemoryBytes);
        Assert.NotEqual(Uuid, uuid);
        Assert.Equal("s.snapshot", Path.GetFileName(Assert.Single(Directory.GetFiles(Snapshots))));
    }

    [Fact]
    public async Task a_restored_machine_keeps_its_name_and_its_id()
    {
        Snapshot saved = await snapshots.SaveAsync(3, "vm-1", "s", None);
        Assert.Equal(("vm-1", 80L << 20), (saved.VmId, saved.MemoryBytes));
        File.Delete(StandInXl.PathOf(host.Folder, 3));

        await snapshots.RestoreAsync("s", "vm-1", None);
        Assert.Equal((9, "vm-1", Uuid, "paused"), Assert.Single(Domains()));
    }

    [Fact]
    public async Task a_machine_that_is_here_under_another_name_is_here()
    {
        await snapshots.SaveAsync(3, "vm-1", "s", None);
        File.Delete(StandInXl.PathOf(host.Folder, 3));
        machines.Add(4, "vm-1--incoming", Uuid);

        await RefusedAsync("on this host already", () => snapshots.RestoreAsync("s", "vm-1", None));
        Assert.Single(Domains());
    }

    [Fact]
    public async Task a_clone_without_a_configuration_of_its_own_is_refused_because_both_would_write_one_disk()
    {
        await snapshots.SaveAsync(3, "vm-1", "s", None);

        await RefusedAsync("one disk", () => snapshots.CloneAsync("s", "vm-3", None));
    }

    [Fact]
    public async Task what_the_host_has_no_memory_for_is_refused_before_xl_takes_some_from_the_control_domain()
    {
        await snapshots.SaveAsync(3, "vm-1", "s", None);
        SetMood("full");

        await RefusedAsync("79 MiB of free memory", () => snapshots.CloneAsync("s", "vm-2", None));
        Assert.DoesNotContain("restore", Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task a_domain_of_another_type_is_neither_saved_nor_restored()
    {
        machines.Add(5, "vm-5", Guid.NewGuid(), "pv");

        await RefusedAsync("of type pv", () => snapshots.SaveAsync(5, "vm-5", "s", None));
        Assert.DoesNotContain("save", Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task a_domain_under_another_name_than_its_machines_is_not_saved()
    {
        machines.Add(5, "vm-5.00000000.1", Guid.NewGuid());

        await RefusedAsync("restored under that name", () => snapshots.SaveAsync(5, "vm-5", "s", None));
    }

    [Fact]
    public async Task a_save_that_fails_leaves_no_file_and_says_why()
    {
        SetMood("fails");

        await RefusedAsync("No space left on device", () => snapshots.SaveAsync(3, "vm-1", "s", None));
        Assert.Empty(Directory.GetFiles(Snapshots));
        Assert.Empty(snapshots.List());
    }

    [Fact]
    public async Task a_save_that_is_cancelled_leaves_no_file()
    {
        SetMood("hangs");
        using CancellationTokenSource cancel = new();
        Task save = snapshots.SaveAsync(3, "vm-1", "s", cancel.Token);
        Assert.True(SpinWait.SpinUntil(() => Directory.Exists(Snapshots) && Directory.GetFiles(Snapshots).Any(file => new FileInfo(file).Length > 0), TimeSpan.FromSeconds(60)));
        await RefusedAsync("not replaced", () => snapshots.SaveAsync(3, "vm-1", "s", None));
        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => save);
        Assert.Empty(Directory.GetFiles(Snapshots));
    }

    [Theory]
    [InlineData("fails")]
    [InlineData("dies")]
    public async Task a_restore_that_fails_leaves_no_domain_and_no_file_of_its_own(string mood)
    {
        await snapshots.SaveAsync(3, "vm-1", "s", None);
        SetMood(mood);

        await RefusedAsync("cannot (re-)build domain", () => snapshots.CloneAsync("s", "vm-2", None));
        Assert.Equal(3, Assert.Single(Domains()).Id);
        Assert.Single(Directory.GetFiles(Snapshots));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(40)]
    [InlineData(60)]
    public async Task a_file_that_xl_has_not_saved_is_refused(int length)
    {
        await snapshots.SaveAsync(3, "vm-1", "s", None);
        byte[] whole = await File.ReadAllBytesAsync(Path.Combine(Snapshots, "s.snapshot"));
        await File.WriteAllBytesAsync(Path.Combine(Snapshots, "s.snapshot"), whole[..length]);

        await Assert.ThrowsAsync<HypervisorException>(() => snapshots.RestoreAsync("s", "vm-1", None));
    }

    [Fact]
    public async Task processors_are_set_up_to_what_the_machine_was_built_for()
    {
        XenReconfigure reconfigure = new(host.Xl, new FreeMemory(host.Xl, () => 0), TimeProvider.System);
        int Online() => machines.Told(3, "online", 4);

        await reconfigure.SetProcessorsAsync(3, 1, Online, None);
        Assert.Equal(1, Online());
        await RefusedAsync("1 to 4 processors", () => reconfigure.SetProcessorsAsync(3, 5, Online, None));
        await RefusedAsync("1 to 4 processors", () => reconfigure.SetProcessorsAsync(3, 0, Online, None));
        Assert.Equal(1, Online());
    }

    [Fact]
    public async Task a_wish_that_the_domain_does_not_follow_is_taken_back()
    {
        XenReconfigure reconfigure = new(host.Xl, new FreeMemory(host.Xl, () => 0), TimeProvider.System) { Patience = TimeSpan.Zero };

        await RefusedAsync("taken back", () => reconfigure.SetProcessorsAsync(3, 1, () => 4, None));
        Assert.Equal(4, machines.Told(3, "online", 0));
        await RefusedAsync("taken back", () => reconfigure.SetMemoryAsync(3, 64 << 20, () => 80 << 8, None));
        Assert.Equal(80, machines.Told(3, "megabytes", 0));
    }

    [Fact]
    public async Task memory_is_set_within_what_the_machine_was_built_for_and_the_host_has()
    {
        XenReconfigure reconfigure = new(host.Xl, new FreeMemory(host.Xl, () => 0), TimeProvider.System);
        long Pages() => (machines.Told(3, "megabytes", 80) << 8) + 16;

        await reconfigure.SetMemoryAsync(3, 64 << 20, Pages, None);
        Assert.Equal(64, machines.Told(3, "megabytes", 0));
        await RefusedAsync("up to 83886080 bytes", () => reconfigure.SetMemoryAsync(3, 81 << 20, Pages, None));
        await RefusedAsync("no multiple", () => reconfigure.SetMemoryAsync(3, (64 << 20) + 4096, Pages, None));
        SetMood("full");
        await reconfigure.SetMemoryAsync(3, 72 << 20, Pages, None);
        await RefusedAsync("do not fit", () => reconfigure.SetMemoryAsync(3, 80 << 20, () => 0, None));
        Assert.Equal(72, machines.Told(3, "megabytes", 0));
    }

    [Fact]
    public void a_domains_dirty_log_is_needed_by_one_at_a_time()
    {
        DirtyLogClaims claims = new();
        IDisposable migration = claims.Take(3, "a migration");
        claims.Take(4, "a migration").Dispose();

        Assert.Contains("needed by a migration", Assert.Throws<DirtyLogException>(() => claims.Take(3, "a snapshot")).Message, StringComparison.Ordinal);
        migration.Dispose();
        IDisposable snapshot = claims.Take(3, "a snapshot");
        migration.Dispose();
        Assert.Contains("needed by a snapshot", Assert.Throws<DirtyLogException>(() => claims.Take(3, "a migration")).Message, StringComparison.Ordinal);
        snapshot.Dispose();
    }

    /// <summary>The commands so far that save, restore or change domains.</summary>
    private string Log => File.ReadAllText(Path.Combine(host.Folder, "log"));

    private void SetMood(string mood) => File.WriteAllText(Path.Combine(host.Folder, "mood"), mood);

    private IEnumerable<(int Id, string? Name, Guid Uuid, string State)> Domains() => StandInXl.Domains(host.Folder).Select(found =>
        (found.Id, found.Domain["name"]?.GetValue<string>(), Guid.Parse(found.Domain["uuid"]!.GetValue<string>()), found.Domain["state"]!.GetValue<string>()));

    private static async Task RefusedAsync(string reason, Func<Task> call)
    {
        HypervisorException refusal = await Assert.ThrowsAsync<HypervisorException>(call);
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
    }
}
