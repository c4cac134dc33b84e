using SpecMesh.Hypervisors.Process;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>What only snapshots of processes have, and what the driver refuses to change.</summary>
public sealed class ProcessSnapshots() : OnHost(new ProcessHost(DirtyTrackerChoice.Auto))
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task one_changed_byte_is_found_before_a_guest_gets_it()
    {
        ProcessHypervisor hypervisor = (ProcessHypervisor)Host.Hypervisor();
        IGuest guest = await Host.RunAsync();
        await hypervisor.SaveAsync(guest, "s", None);
        using (FileStream file = File.Open(Path.Combine(Host.SnapshotFolder, "s.snapshot"), FileMode.Open))
        {
            file.Position = file.Length / 2;
            int good = file.ReadByte();
            file.Position--;
            file.WriteByte((byte)(good ^ 1));
        }

        HypervisorException refusal = await Assert.ThrowsAsync<HypervisorException>(() => hypervisor.CloneAsync("s", new GuestTag(Host.VmId + "-b", null, null, 1), None));
        Assert.Contains("damaged", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(guest.Tag, Assert.Single(await Host.FindAsync()).Tag);
    }

    [Fact]
    public async Task pages_of_zeros_take_no_room()
    {
        ProcessHypervisor hypervisor = new(new ProcessHypervisorOptions(Host.Folder, InitialisedFraction: 0));
        GuestSpec spec = Host.Spec(pagesPerSecond: 0, pageCount: 1 << 14);
        IGuest guest = Host.Keep(await hypervisor.BuildPausedAsync(spec, None));
        await guest.StartAsync(HostUnderTest.CommitOf(guest.Tag), None);
        Snapshot saved = await hypervisor.SaveAsync(guest, "s", None);

        Assert.True(saved.FileBytes > saved.MemoryBytes);
        Assert.InRange(BytesOnDisk(Path.Combine(Host.SnapshotFolder, "s.snapshot")), 1, saved.MemoryBytes / 8);
    }

    [Fact]
    public async Task processors_and_memory_are_refused_with_the_reason_that_the_capabilities_name()
    {
        IGuest guest = await Host.RunAsync();
        HypervisorCapabilities capabilities = await Host.Hypervisor().ProbeAsync(None);
        IReconfigure reconfigure = (IReconfigure)Host.Hypervisor();

        Assert.Null(capabilities.SnapshotsRefused);
        Assert.Contains(capabilities.ProcessorsRefused!, (await Assert.ThrowsAsync<HypervisorException>(() => reconfigure.SetProcessorsAsync(guest, 2, None))).Message, StringComparison.Ordinal);
        Assert.Contains(capabilities.MemoryRefused!, (await Assert.ThrowsAsync<HypervisorException>(() => reconfigure.SetMemoryAsync(guest, 1 << 20, None))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task two_restores_at_once_give_one_guest()
    {
        ProcessHypervisor hypervisor = (ProcessHypervisor)Host.Hypervisor();
        IGuest guest = await Host.RunAsync();
        await hypervisor.SaveAsync(guest, "s", None);
        await guest.DestroyAsync(None);
        Task<IGuest>[] restores = [.. Enumerable.Range(0, 3).Select(_ => hypervisor.RestoreAsync("s", guest.Tag, None))];

        await Task.WhenAny(Task.WhenAll(restores));
        Host.Keep(await Assert.Single(restores, restore => restore.IsCompletedSuccessfully));
        Assert.All(restores.Where(restore => restore.IsFaulted), restore => Assert.IsType<HypervisorException>(restore.Exception!.InnerException));
    }

    /// <summary>What <c>du</c> says.</summary>
    private static long BytesOnDisk(string path)
    {
        using System.Diagnostics.Process du = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("du", ["-k", path]) { RedirectStandardOutput = true })!;
        string line = du.StandardOutput.ReadToEnd();
        du.WaitForExit();
        return long.Parse(line.Split('\t')[0], null) * 1024;
    }
}
