using System.Globalization;
using System.Text.Json.Nodes;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Process;
using SpecMesh.Hypervisors.Process.Guest;
using OsProcess = System.Diagnostics.Process;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>What only the Process driver has: processes, records of them, and agents that die.</summary>
public sealed class ProcessGuests() : OnHost(new ProcessHost(DirtyTrackerChoice.Auto))
{
    private static readonly CancellationToken None = CancellationToken.None;

    private ProcessHost Here => (ProcessHost)Host;

    [Fact]
    public async Task a_guest_killed_from_outside_is_noticed_and_forgotten()
    {
        IGuest guest = await Host.RunAsync();
        OsProcess.GetProcessById(Here.Processes().Single()).Kill();
        await Host.WaitForExitAsync(guest);

        Assert.Null(guest.State);
        await Assert.ThrowsAsync<HypervisorException>(() => guest.SuspendAsync(None));
        Assert.Empty(await Host.FindAsync());
        Assert.Empty(Directory.GetFiles(Path.Combine(Host.Folder, "guests")));
        await guest.DestroyAsync(None);
        Assert.Empty(Host.Remains());
    }

    [Theory]
    [InlineData("startTime")]
    [InlineData("bootId")]
    public async Task another_process_with_the_same_id_is_not_taken_for_the_guest(string field)
    {
        IGuest guest = await Host.RunAsync();
        string file = Here.RecordFile;
        JsonNode record = JsonNode.Parse(await File.ReadAllTextAsync(file))!;
        record[field] = field == "bootId" ? JsonValue.Create("another boot") : JsonValue.Create((ulong)record[field]! + 1);
        await File.WriteAllTextAsync(file, record.ToJsonString());

        Assert.Empty(await Host.FindAsync());
        Assert.False(File.Exists(file));
        Assert.Equal(GuestState.Running, guest.State);
        await Host.WaitForStepsAsync(guest, 10);
    }

    [Fact]
    public async Task a_record_that_cannot_be_read_is_an_error_and_not_a_forgotten_guest()
    {
        IGuest guest = await Host.RunAsync();
        string file = Here.RecordFile;
        await File.WriteAllTextAsync(file, "{");

        HypervisorException error = await Assert.ThrowsAsync<HypervisorException>(Host.FindAsync);
        Assert.Contains(file, error.Message, StringComparison.Ordinal);
        Assert.Equal(GuestState.Running, guest.State);
    }

    [Fact]
    public async Task a_guest_outlives_the_kill_of_its_agent()
    {
        using OsProcess agent = OsProcess.Start(ProcessHost.Dotnet("SpecMesh.Hypervisors.Tests.dll", [Host.Folder, Host.VmId]))!;
        Assert.Equal("running", await ProcessHost.ReadLineAsync(agent));
        agent.Kill();
        await agent.WaitForExitAsync();

        IGuest guest = Assert.Single(await Host.FindAsync());
        Assert.Equal(GuestState.Running, guest.State);
        await Host.WaitForStepsAsync(guest, 100);
        GuestVerification found = await guest.VerifyAsync(None);
        Assert.True(found.Intact, $"{found}");
        await guest.DestroyAsync(None);
        await Host.WaitForExitAsync(guest);
        Assert.Empty(Host.Remains());
    }

    [Fact]
    public async Task a_guest_whose_agent_dies_before_it_has_stored_where_the_guest_is_ends_by_itself()
    {
        GuestOptions options = new(Host.VmId + "-0", 1 << 20, "none", true, 1, 1000, 0.5);
        using OsProcess guest = OsProcess.Start(ProcessHost.Dotnet("SpecMesh.Hypervisors.dll", options.ToArguments()))!;
        Assert.StartsWith("ready ", await ProcessHost.ReadLineAsync(guest), StringComparison.Ordinal);
        guest.StandardInput.Close();

        await guest.WaitForExitAsync();
        Assert.Equal(GuestProcess.ExitNotKept, guest.ExitCode);
    }

    [Fact]
    public async Task a_cancelled_build_leaves_nothing()
    {
        IHypervisor hypervisor = Host.Hypervisor();
        await hypervisor.ProbeAsync(None);
        using CancellationTokenSource cancel = new();
        Task<IGuest> build = hypervisor.BuildPausedAsync(Host.Spec(pageCount: 1 << 15), cancel.Token);
        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => build);
        Assert.Empty(Host.Remains());
    }

    [Fact]
    public async Task a_guest_gets_none_of_the_agents_environment_and_no_stream()
    {
        Environment.SetEnvironmentVariable("SPECMESH_TEST_SECRET", "secret");
        IGuest guest = await Host.RunAsync();
        int pid = Here.Processes().Single();

        Assert.DoesNotContain("secret", await File.ReadAllTextAsync($"/proc/{pid}/environ"), StringComparison.Ordinal);
        Assert.All(Enumerable.Range(0, 3), fd => Assert.Equal("/dev/null", File.ResolveLinkTarget($"/proc/{pid}/fd/{fd}", false)!.FullName));
        string[] status = (await File.ReadAllTextAsync($"/proc/{pid}/stat")).Split(") ")[1].Split(' ');
        Assert.Equal(pid.ToString(CultureInfo.InvariantCulture), status[3]);
        await Host.WaitForStepsAsync(guest, 1);
    }

    [Fact]
    public async Task a_guest_built_without_a_tracker_says_why_it_has_no_dirty_log()
    {
        ProcessHypervisor hypervisor = new(new ProcessHypervisorOptions(Host.Folder));
        await using ProcessGuest guest = await hypervisor.BuildAsync(Host.Spec(), "none", powerOn: true, None);

        DirtyLogException refusal = Assert.Throws<DirtyLogException>(guest.OpenDirtyLog);
        Assert.Contains("without a dirty tracker", refusal.Message, StringComparison.Ordinal);
    }

    /// <summary>A tracker that fails its self-test has its tests skipped. That must not hide a fault of ours, so only a kernel that refuses it may cause it.</summary>
    [Theory]
    [InlineData(DirtyTrackerChoice.PagemapScan)]
    [InlineData(DirtyTrackerChoice.Userfaultfd)]
    public async Task a_tracker_that_the_kernel_accepts_passes_its_self_test(DirtyTrackerChoice tracker)
    {
        HypervisorCapabilities found = await new ProcessHypervisor(new ProcessHypervisorOptions(Host.Folder, tracker)).ProbeAsync(None);

        string? reason = Assert.Single(found.Trackers).Reason;
        Assert.True(reason is null || reason.Contains("could not be built", StringComparison.Ordinal), reason);
    }

    [Fact]
    public async Task the_probe_names_the_tracker_and_why_the_others_are_not_used()
    {
        HypervisorCapabilities found = await Host.Hypervisor().ProbeAsync(None);

        Assert.Equal(["pagemap-scan", "userfaultfd", "soft-dirty"], found.Trackers.Select(t => t.Name));
        Assert.Equal(found.DirtyTracker, found.Trackers.FirstOrDefault(t => t.Usable == true)?.Name);
        Assert.All(found.Trackers, t => Assert.Equal(t.Usable != true, t.Reason is not null));
        Assert.Empty(Host.Remains());
    }
}
