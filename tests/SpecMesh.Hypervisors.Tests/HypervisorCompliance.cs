using SpecMesh.Contracts;
using SpecMesh.DataPath;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>What every hypervisor driver promises. A driver joins by a class that names its host.</summary>
public abstract class HypervisorCompliance(HostUnderTest host) : OnHost(host)
{
    private static readonly CancellationToken None = CancellationToken.None;

    [TrackerFact]
    public async Task a_guest_is_built_paused_and_has_done_nothing()
    {
        IGuest guest = await Host.BuildAsync(Host.Spec());

        Assert.Equal(GuestState.Paused, guest.State);
        Assert.Equal(HostUnderTest.PageCount, guest.Memory.PageCount);
        Assert.Equal(new GuestVerification(true, 0, 0, -1), await guest.VerifyAsync(None));
        Assert.Equal(0, guest.Progress);
    }

    [TrackerFact]
    public async Task a_started_guest_counts()
    {
        IGuest guest = await Host.RunAsync();

        HostUnderTest.WaitForProgress(guest, 100);
        Assert.Equal(GuestState.Running, guest.State);
    }

    [TrackerFact]
    public async Task an_idle_guest_runs_and_writes_nothing()
    {
        IGuest guest = await Host.RunAsync(pagesPerSecond: 0);

        Assert.Equal(GuestState.Running, guest.State);
        Assert.Equal(new GuestVerification(true, 0, 0, -1), await guest.VerifyAsync(None));
    }

    [TrackerFact]
    public async Task a_suspended_guest_stands_still_from_the_moment_that_suspend_returns()
    {
        IGuest guest = await Host.RunAsync(pagesPerSecond: 1e9);
        for (int round = 0; round < 20; round++)
        {
            HostUnderTest.WaitForProgress(guest, guest.Progress + 50);
            await guest.SuspendAsync(None);
            byte[] first = HostUnderTest.Copy(guest);
            GuestVerification found = await guest.VerifyAsync(None);
            byte[] second = HostUnderTest.Copy(guest);

            Assert.Equal(GuestState.Suspended, guest.State);
            Assert.True(found.Intact, $"{found}");
            Assert.True(first.AsSpan().SequenceEqual(second), "The memory changed after the guest was suspended.");
            await guest.ResumeAsync(None);
        }
    }

    [TrackerFact]
    public async Task a_resumed_guest_goes_on_where_it_was()
    {
        IGuest guest = await Host.RunAsync();
        HostUnderTest.WaitForProgress(guest, 100);
        await guest.SuspendAsync(None);
        long steps = guest.Progress;
        await guest.ResumeAsync(None);

        HostUnderTest.WaitForProgress(guest, steps + 100);
        GuestVerification found = await guest.VerifyAsync(None);
        Assert.True(found.Intact, $"{found}");
        Assert.Equal(GuestState.Running, guest.State);
    }

    [TrackerFact]
    public async Task an_image_goes_on_in_another_guest_exactly_where_it_was()
    {
        IGuest source = await Host.RunAsync();
        HostUnderTest.WaitForProgress(source, 500);
        await source.SuspendAsync(None);
        IShell target = await Host.BuildShellAsync();
        byte[] setup = await source.ReadSetupAsync(None);
        target.Open(source.Memory.PageCount, setup, None).Write(0, HostUnderTest.Copy(source));
        target.Complete(source.ReadState(), None);

        GuestVerification arrived = await target.VerifyAsync(None);
        Assert.Equal(await source.VerifyAsync(None), arrived);
        await target.StartAsync(HostUnderTest.CommitOf(target.Tag), None);
        HostUnderTest.WaitForProgress(target, source.Progress + 500);
        GuestVerification after = await target.VerifyAsync(None);
        Assert.True(arrived.Intact && after.Intact, $"{arrived} {after}");
        Assert.Equal(arrived.Steps, source.Progress);
    }

    [TrackerFact]
    public async Task a_shell_holds_zeros_and_does_not_start_without_an_image()
    {
        IShell shell = await Host.BuildShellAsync();

        Assert.DoesNotContain(HostUnderTest.Copy(shell), b => b != 0);
        HypervisorException refusal = await Assert.ThrowsAsync<HypervisorException>(() => shell.StartAsync(HostUnderTest.CommitOf(shell.Tag), None));
        Assert.Contains("holds no guest", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(GuestState.Paused, shell.State);
        Assert.False((await shell.VerifyAsync(None)).Intact);
    }

    [TrackerFact]
    public async Task nothing_starts_by_a_decision_that_does_not_name_it()
    {
        IShell shell = await Host.BuildShellAsync();
        IGuest other = await Host.BuildAsync(Host.Spec());
        byte[] image = HostUnderTest.Copy(other);
        shell.Open(HostUnderTest.PageCount, await other.ReadSetupAsync(None), None).Write(0, image);
        shell.Complete([], None);
        GuestTag mine = shell.Tag;
        foreach (GuestTag winner in new[] { mine with { Replica = 2 }, mine with { OperationId = Guid.NewGuid() }, mine with { OperationId = null }, mine with { VmId = "neighbour" }, mine with { Epoch = 0 } })
        {
            await Assert.ThrowsAsync<HypervisorException>(() => shell.StartAsync(HostUnderTest.CommitOf(winner), None));
        }

        Assert.Equal(GuestState.Paused, shell.State);
        await shell.StartAsync(HostUnderTest.CommitOf(mine with { Epoch = 2 }), None);
        HostUnderTest.WaitForProgress(shell, 10);
        await Assert.ThrowsAsync<HypervisorException>(() => other.StartAsync(HostUnderTest.CommitOf(other.Tag with { VmId = "neighbour" }), None));
    }

    [TrackerFact]
    public async Task the_state_is_read_of_a_guest_that_stands_still_and_of_no_other()
    {
        IGuest guest = await Host.RunAsync();
        Assert.Throws<HypervisorException>(guest.ReadState);
        await guest.SuspendAsync(None);
        byte[] first = guest.ReadState();
        Assert.Equal(first, guest.ReadState());
        await guest.DestroyAsync(None);
        Assert.Throws<HypervisorException>(guest.ReadState);
    }

    [TrackerFact]
    public async Task a_shell_takes_an_image_of_its_size_only_and_can_take_pages_again_until_it_runs()
    {
        IGuest source = await Host.BuildAsync(Host.Spec());
        byte[] setup = await source.ReadSetupAsync(None);
        IShell shell = await Host.BuildShellAsync();
        Assert.Equal(HostUnderTest.PageCount * IGuestMemory.PageBytes, shell.MemoryBytes);
        Assert.Throws<HypervisorException>(() => shell.Open(HostUnderTest.PageCount + 1, setup, None));
        Assert.Throws<HypervisorException>(() => shell.Open(HostUnderTest.PageCount, [.. setup, 1, 2, 3], None));
        IGuestMemory memory = shell.Open(HostUnderTest.PageCount, setup, None);
        shell.Complete([], None);
        shell.Reopen();
        memory.Write(0, HostUnderTest.Copy(source));
        shell.Complete([], None);

        await shell.StartAsync(HostUnderTest.CommitOf(shell.Tag), None);
        HostUnderTest.WaitForProgress(shell, 10);
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
    public async Task destroying_leaves_nothing_and_may_be_repeated()
    {
        IGuest running = await Host.RunAsync();
        IGuest paused = await Host.BuildAsync(Host.Spec());
        IGuest suspended = await Host.RunAsync();
        await suspended.SuspendAsync(None);
        Assert.NotEmpty(Host.Remains());

        foreach (IGuest guest in new[] { running, paused, suspended })
        {
            await guest.DestroyAsync(None);
            await guest.DestroyAsync(None);
            await HostUnderTest.WaitForExitAsync(guest);
            Assert.Null(guest.State);
            Assert.Throws<ObjectDisposedException>(() => guest.Memory.Read(0, new byte[IGuestMemory.PageBytes]));
        }

        Assert.Empty(Host.Remains());
        Assert.Empty(await Host.FindAsync());
    }

    [TrackerFact]
    public async Task a_guest_is_found_again_as_it_was_left()
    {
        IGuest guest = await Host.RunAsync();
        GuestTag tag = guest.Tag with { OperationId = Guid.NewGuid(), Replica = 2, Epoch = 7 };
        await guest.RetagAsync(tag);
        await guest.DisposeAsync();

        IGuest found = Assert.Single(await Host.FindAsync());
        Assert.Equal((tag, GuestState.Running), (found.Tag, found.State));
        HostUnderTest.WaitForProgress(found, found.Progress + 100);
        await found.SuspendAsync(None);
        await found.DisposeAsync();

        IGuest again = Assert.Single(await Host.FindAsync());
        Assert.Equal(GuestState.Suspended, again.State);
        Assert.True((await again.VerifyAsync(None)).Intact);
        await again.ResumeAsync(None);
        HostUnderTest.WaitForProgress(again, again.Progress + 100);
        await again.DestroyAsync(None);
        Assert.Empty(Host.Remains());
    }

    [TrackerFact]
    public async Task a_paused_guest_is_found_paused_and_can_be_started_then()
    {
        await (await Host.BuildAsync(Host.Spec())).DisposeAsync();

        IGuest found = Assert.Single(await Host.FindAsync());
        Assert.Equal(GuestState.Paused, found.State);
        await found.StartAsync(HostUnderTest.CommitOf(found.Tag), None);
        HostUnderTest.WaitForProgress(found, 10);
    }

    [TrackerFact]
    public async Task a_tag_of_another_machine_is_not_accepted()
    {
        IGuest guest = await Host.BuildAsync(Host.Spec());

        await Assert.ThrowsAsync<ArgumentException>(() => guest.RetagAsync(guest.Tag with { VmId = "neighbour" }));
        Assert.Equal(Host.VmId, guest.Tag.VmId);
    }

    [TrackerFact]
    public async Task a_call_out_of_order_is_refused_and_changes_nothing()
    {
        IGuest guest = await Host.BuildAsync(Host.Spec());
        await RefusedAsync(guest, guest.SuspendAsync, guest.ResumeAsync);
        Assert.Equal(GuestState.Paused, guest.State);

        await guest.StartAsync(HostUnderTest.CommitOf(guest.Tag), None);
        await RefusedAsync(guest, token => guest.StartAsync(HostUnderTest.CommitOf(guest.Tag), token), guest.ResumeAsync);
        Assert.Throws<InvalidOperationException>(() => guest.Memory.Write(1, new byte[IGuestMemory.PageBytes]));
        Assert.Throws<InvalidOperationException>(() => guest.Memory.Zero(1, 1));
        HostUnderTest.WaitForProgress(guest, 10);

        await guest.SuspendAsync(None);
        await RefusedAsync(guest, token => guest.StartAsync(HostUnderTest.CommitOf(guest.Tag), token), guest.SuspendAsync);
        Assert.Equal(GuestState.Suspended, guest.State);
        Assert.True((await guest.VerifyAsync(None)).Intact);
    }

    [TrackerFact]
    public async Task one_wrong_byte_is_found_wherever_it_is()
    {
        IGuest guest = await Host.RunAsync();
        HostUnderTest.WaitForProgress(guest, 300);
        await guest.SuspendAsync(None);

        // A page that was written at power-on, one that was never written, the last one, and page 0 behind the guest's state.
        foreach (long page in new[] { HostUnderTest.PageCount / 2, HostUnderTest.PageCount - 2, HostUnderTest.PageCount - 1, 0 })
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
        HostUnderTest.WaitForProgress(guest, 100);
        await guest.SuspendAsync(None);
        byte[] before = HostUnderTest.Copy(guest);
        await guest.ResumeAsync(None);
        HostUnderTest.WaitForProgress(guest, guest.Progress + 500);
        await guest.SuspendAsync(None);
        byte[] after = HostUnderTest.Copy(guest);

        long[] changed = [.. PagesThatDiffer(before, after).Where(page => page > 0)];
        Assert.True(changed.Length > 50);
        guest.Memory.Write(changed[10], before.AsSpan((int)changed[10] * IGuestMemory.PageBytes, IGuestMemory.PageBytes));
        GuestVerification found = await guest.VerifyAsync(None);
        Assert.Equal((false, 1L, changed[10]), (found.Intact, found.BadPages, found.FirstBadPage));
    }

    [TrackerFact]
    public async Task what_cannot_be_built_is_refused_with_the_reason_and_leaves_nothing()
    {
        GuestSpec good = Host.Spec();
        (GuestSpec Spec, string Reason)[] refused =
        [
            (good with { Vm = good.Vm with { MemoryBytes = 0 } }, "memory is a multiple of"),
            (good with { Vm = good.Vm with { MemoryBytes = (1 << 20) + 1 } }, "memory is a multiple of"),
            (good with { Vm = good.Vm with { MemoryBytes = 1L << 50 } }, "does not fit"),
            (good with { Vm = good.Vm with { WritePagesPerSecond = double.NaN } }, "cannot write"),
            (good with { Vm = good.Vm with { WritePagesPerSecond = -1 } }, "cannot write"),
            (good with { Tag = good.Tag with { VmId = "../vm" } }, "machine's id"),
            (good with { Tag = good.Tag with { VmId = string.Empty } }, "machine's id"),
        ];
        foreach ((GuestSpec spec, string reason) in refused)
        {
            HypervisorException refusal = await Assert.ThrowsAsync<HypervisorException>(() => Host.BuildAsync(spec));
            Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
        }

        Assert.Empty(Host.Remains());
    }

    private static async Task RefusedAsync(IGuest guest, params Func<CancellationToken, Task>[] calls)
    {
        foreach (Func<CancellationToken, Task> call in calls)
        {
            HypervisorException refusal = await Assert.ThrowsAsync<HypervisorException>(() => call(None));
            Assert.Contains($"is {guest.State}", refusal.Message, StringComparison.Ordinal);
        }
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
