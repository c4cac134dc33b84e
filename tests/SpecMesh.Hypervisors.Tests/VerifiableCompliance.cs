using SpecMesh.Contracts;
using SpecMesh.DataPath;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>What a driver promises beside <see cref="HypervisorCompliance"/> whose guests' memory can be written and verified from outside.</summary>
public abstract class VerifiableCompliance(HostUnderTest host) : HypervisorCompliance(host)
{
    private static readonly CancellationToken None = CancellationToken.None;

    [TrackerFact]
    public async Task a_guest_that_was_built_is_the_machines_first_state()
    {
        IGuest guest = await Host.BuildAsync(Host.Spec());

        Assert.Equal(ProcessHost.PageCount, guest.Memory.PageCount);
        Assert.Equal(new GuestVerification(true, 0, 0, -1), await guest.VerifyAsync(None));
    }

    [TrackerFact]
    public async Task an_idle_guest_runs_and_writes_nothing()
    {
        IGuest guest = await Host.RunAsync(pagesPerSecond: 0);

        Assert.Equal(GuestState.Running, guest.State);
        Assert.Equal(new GuestVerification(true, 0, 0, -1), await guest.VerifyAsync(None));
    }

    [TrackerFact]
    public async Task an_image_is_right_to_the_last_byte_before_it_starts()
    {
        IGuest source = await Host.RunAsync();
        await Host.WaitForStepsAsync(source, 500);
        await source.SuspendAsync(None);
        IShell target = await Host.BuildShellAsync();
        byte[] setup = await source.ReadSetupAsync(None);
        target.Open(source.Memory.PageCount, setup, None).Write(0, HostUnderTest.Copy(source));
        target.Complete(source.ReadState(), None);

        GuestVerification arrived = await target.VerifyAsync(None);
        Assert.Equal(await source.VerifyAsync(None), arrived);
        await target.StartAsync(HostUnderTest.CommitOf(target.Tag), None);
        await Host.WaitForStepsAsync(target, 500);
        GuestVerification after = await target.VerifyAsync(None);
        Assert.True(arrived.Intact && after.Intact, $"{arrived} {after}");
        Assert.Equal(arrived.Steps, source.Progress);
    }

    [TrackerFact]
    public async Task a_shell_holds_zeros_and_no_guest()
    {
        IShell shell = await Host.BuildShellAsync();

        Assert.DoesNotContain(HostUnderTest.Copy(shell), b => b != 0);
        Assert.False((await shell.VerifyAsync(None)).Intact);
    }

    [TrackerFact]
    public async Task nothing_starts_by_a_decision_that_does_not_name_it()
    {
        IShell shell = await Host.BuildShellAsync();
        IGuest other = await Host.BuildAsync(Host.Spec());
        byte[] image = HostUnderTest.Copy(other);
        shell.Open(ProcessHost.PageCount, await other.ReadSetupAsync(None), None).Write(0, image);
        shell.Complete([], None);
        GuestTag mine = shell.Tag;
        foreach (GuestTag winner in new[] { mine with { Replica = 2 }, mine with { OperationId = Guid.NewGuid() }, mine with { OperationId = null }, mine with { VmId = "neighbour" }, mine with { Epoch = 0 } })
        {
            await Assert.ThrowsAsync<HypervisorException>(() => shell.StartAsync(HostUnderTest.CommitOf(winner), None));
        }

        Assert.Equal(GuestState.Paused, shell.State);
        await shell.StartAsync(HostUnderTest.CommitOf(mine with { Epoch = 2 }), None);
        await Host.WaitForStepsAsync(shell, 10);
        await Assert.ThrowsAsync<HypervisorException>(() => other.StartAsync(HostUnderTest.CommitOf(other.Tag with { VmId = "neighbour" }), None));
    }

    [TrackerFact]
    public async Task a_shell_takes_an_image_of_its_size_only_and_can_take_pages_again_until_it_runs()
    {
        IGuest source = await Host.BuildAsync(Host.Spec());
        byte[] setup = await source.ReadSetupAsync(None);
        IShell shell = await Host.BuildShellAsync();
        Assert.Equal(ProcessHost.PageCount * IGuestMemory.PageBytes, shell.MemoryBytes);
        Assert.Throws<HypervisorException>(() => shell.Open(ProcessHost.PageCount + 1, setup, None));
        Assert.Throws<HypervisorException>(() => shell.Open(ProcessHost.PageCount, [.. setup, 1, 2, 3], None));
        IGuestMemory memory = shell.Open(ProcessHost.PageCount, setup, None);
        shell.Complete([], None);
        shell.Reopen();
        memory.Write(0, HostUnderTest.Copy(source));
        shell.Complete([], None);

        await shell.StartAsync(HostUnderTest.CommitOf(shell.Tag), None);
        await Host.WaitForStepsAsync(shell, 10);
        Assert.Throws<HypervisorException>(shell.Reopen);
        Assert.True((await shell.VerifyAsync(None)).Intact);
    }

    [TrackerFact]
    public async Task pages_made_zero_read_as_zero()
    {
        IGuest guest = await Host.BuildAsync(Host.Spec());
        guest.Memory.Zero(1, guest.Memory.PageCount - 1);

        Assert.DoesNotContain(HostUnderTest.Copy(guest).Skip(IGuestMemory.PageBytes), b => b != 0);
        Assert.Throws<ArgumentOutOfRangeException>(() => guest.Memory.Zero(1, guest.Memory.PageCount));
    }

    [TrackerFact]
    public async Task one_wrong_byte_is_found_wherever_it_is()
    {
        IGuest guest = await Host.RunAsync();
        await Host.WaitForStepsAsync(guest, 300);
        await guest.SuspendAsync(None);

        // A page that was written at power-on, one that was never written, the last one, and page 0 behind the guest's state.
        foreach (long page in new[] { ProcessHost.PageCount / 2, ProcessHost.PageCount - 2, ProcessHost.PageCount - 1, 0 })
        {
            byte[] good = new byte[IGuestMemory.PageBytes];
            guest.Memory.Read(page, good);
            byte[] bad = [.. good];
            bad[^1] ^= 1;
            guest.Memory.Write(page, bad);
            GuestVerification found = await guest.VerifyAsync(None);
            Assert.Equal((false, 1L, page), (found.Intact, found.BadPages, found.FirstBadPage));
            guest.Memory.Write(page, good);
        }

        Assert.True((await guest.VerifyAsync(None)).Intact);
    }

    [TrackerFact]
    public async Task an_older_version_of_a_page_is_found()
    {
        IGuest guest = await Host.RunAsync();
        await Host.WaitForStepsAsync(guest, 100);
        await guest.SuspendAsync(None);
        byte[] before = HostUnderTest.Copy(guest);
        await guest.ResumeAsync(None);
        await Host.WaitForStepsAsync(guest, 500);
        await guest.SuspendAsync(None);
        byte[] after = HostUnderTest.Copy(guest);

        long[] changed = [.. PagesThatDiffer(before, after).Where(page => page > 0)];
        Assert.True(changed.Length > 50);
        guest.Memory.Write(changed[10], before.AsSpan((int)changed[10] * IGuestMemory.PageBytes, IGuestMemory.PageBytes));
        GuestVerification found = await guest.VerifyAsync(None);
        Assert.Equal((false, 1L, changed[10]), (found.Intact, found.BadPages, found.FirstBadPage));
    }

    private static IEnumerable<long> PagesThatDiffer(byte[] a, byte[] b)
    {
        for (int at = 0; at < a.Length; at += IGuestMemory.PageBytes)
        {
            if (!a.AsSpan(at, IGuestMemory.PageBytes).SequenceEqual(b.AsSpan(at, IGuestMemory.PageBytes)))
            {
                yield return at / IGuestMemory.PageBytes;
            }
        }
    }
}
