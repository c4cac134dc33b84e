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
        long pages = Host.Spec().Vm.MemoryBytes / IGuestMemory.PageBytes;
        Assert.InRange(guest.Memory.PageCount, pages, pages + (ReplicaIdentity.SlackBytes / IGuestMemory.PageBytes));
        Assert.Equal(Host.Spec().Vm.MemoryBytes, guest.MemoryBytes);
        Assert.Equal(0, guest.Progress);
    }

    [TrackerFact]
    public async Task a_started_guest_counts()
    {
        IGuest guest = await Host.RunAsync();

        await Host.WaitForStepsAsync(guest, 100);
        Assert.Equal(GuestState.Running, guest.State);
    }

    [TrackerFact]
    public async Task a_suspended_guest_stands_still_from_the_moment_that_suspend_returns()
    {
        IGuest guest = await Host.RunAsync(pagesPerSecond: 1e9);
        for (int round = 0; round < Host.Times(20); round++)
        {
            await Host.WaitForStepsAsync(guest, 50);
            await guest.SuspendAsync(None);
            long progress = guest.Progress;
            byte[] first = HostUnderTest.Copy(guest);
            GuestVerification found = await Host.VerifyAsync(guest);
            byte[] second = HostUnderTest.Copy(guest);

            Assert.Equal(GuestState.Suspended, guest.State);
            Assert.True(found.Intact, $"{found}");
            Assert.True(first.AsSpan().SequenceEqual(second), "The memory changed after the guest was suspended.");
            Assert.Equal(progress, guest.Progress);
            await guest.ResumeAsync(None);
        }
    }

    [TrackerFact]
    public async Task a_resumed_guest_goes_on_where_it_was()
    {
        IGuest guest = await Host.RunAsync();
        await Host.WaitForStepsAsync(guest, 100);
        await guest.SuspendAsync(None);
        GuestVerification left = await Host.VerifyAsync(guest);
        await guest.ResumeAsync(None);

        await Host.WaitForStepsAsync(guest, 100);
        GuestVerification found = await Host.VerifyAsync(guest);
        Assert.True(found.Steps > left.Steps, $"{left} {found}");
        Assert.True(found.Intact, $"{found}");
        Assert.Equal(GuestState.Running, guest.State);
    }

    [TrackerFact]
    public async Task an_image_goes_on_in_another_guest()
    {
        IGuest source = await Host.RunAsync();
        await Host.WaitForStepsAsync(source, 500);
        await source.SuspendAsync(None);
        GuestVerification left = await Host.VerifyAsync(source);
        IShell target = await Host.BuildShellAsync();
        byte[] setup = await source.ReadSetupAsync(None);
        await Task.Run(() =>
        {
            target.Open(source.Memory.PageCount, setup, None).Write(0, HostUnderTest.Copy(source));
            target.Complete(source.ReadState(), None);
        });
        Assert.Equal(GuestState.Paused, target.State);

        await target.StartAsync(HostUnderTest.CommitOf(target.Tag), None);
        await Host.WaitForStepsAsync(target, 500);
        GuestVerification after = await Host.VerifyAsync(target);
        Assert.True(after.Intact && after.Steps > left.Steps, $"{left} {after}");
        Assert.Equal(GuestState.Suspended, source.State);
    }

    [TrackerFact]
    public async Task a_shell_without_an_image_does_not_start()
    {
        IShell shell = await Host.BuildShellAsync();

        HypervisorException refusal = await Assert.ThrowsAsync<HypervisorException>(() => shell.StartAsync(HostUnderTest.CommitOf(shell.Tag), None));
        Assert.Contains("holds no guest", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(GuestState.Paused, shell.State);
    }

    [TrackerFact]
    public async Task a_guest_does_not_start_by_a_decision_that_does_not_name_it()
    {
        GuestTag mine = new(Host.VmId, Guid.NewGuid(), 1, 1);
        IGuest guest = await Host.BuildAsync(Host.Spec() with { Tag = mine });
        foreach (GuestTag winner in new[] { mine with { Replica = 2 }, mine with { OperationId = Guid.NewGuid() }, mine with { VmId = "neighbour" }, mine with { Epoch = 0 } })
        {
            await Assert.ThrowsAsync<HypervisorException>(() => guest.StartAsync(HostUnderTest.CommitOf(winner), None));
        }

        Assert.Equal((GuestState.Paused, 0L), (guest.State, guest.Progress));
        await guest.StartAsync(HostUnderTest.CommitOf(mine with { Epoch = 2 }), None);
        await Host.WaitForStepsAsync(guest, 10);
    }

    [TrackerFact]
    public async Task the_state_is_read_of_a_guest_that_stands_still_and_of_no_other()
    {
        IGuest guest = await Host.RunAsync();
        Assert.Throws<HypervisorException>(guest.ReadState);
        await guest.SuspendAsync(None);
        Assert.Equal(guest.ReadState().Length, guest.ReadState().Length);
        await guest.DestroyAsync(None);
        Assert.Throws<HypervisorException>(guest.ReadState);
    }

    [TrackerFact]
    public async Task destroying_leaves_nothing_and_may_be_repeated()
    {
        await DestroyedAsync(await Host.RunAsync());
        await DestroyedAsync(await Host.BuildAsync(Host.Spec()));
        IGuest suspended = await Host.RunAsync();
        await suspended.SuspendAsync(None);
        await DestroyedAsync(suspended);
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
        await Host.WaitForStepsAsync(found, 100);
        await found.SuspendAsync(None);
        await found.DisposeAsync();

        IGuest again = Assert.Single(await Host.FindAsync());
        Assert.Equal(GuestState.Suspended, again.State);
        Assert.True((await Host.VerifyAsync(again)).Intact);
        await again.ResumeAsync(None);
        await Host.WaitForStepsAsync(again, 100);
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
        await Host.WaitForStepsAsync(found, 10);
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

        await Host.StartAsync(guest);
        await RefusedAsync(guest, token => guest.StartAsync(HostUnderTest.CommitOf(guest.Tag), token), guest.ResumeAsync);
        Assert.Throws<InvalidOperationException>(() => guest.Memory.Write(1, new byte[IGuestMemory.PageBytes]));
        Assert.Throws<InvalidOperationException>(() => guest.Memory.Zero(1, 1));
        await Host.WaitForStepsAsync(guest, 10);

        await guest.SuspendAsync(None);
        await RefusedAsync(guest, token => guest.StartAsync(HostUnderTest.CommitOf(guest.Tag), token), guest.SuspendAsync);
        Assert.Equal(GuestState.Suspended, guest.State);
        Assert.True((await Host.VerifyAsync(guest)).Intact);
    }

    [TrackerFact]
    public async Task what_cannot_be_built_is_refused_with_the_reason_and_leaves_nothing()
    {
        GuestSpec good = Host.Spec();
        (GuestSpec Spec, string Reason)[] refused =
        [
            (good with { Vm = good.Vm with { MemoryBytes = 0 } }, "memory is a multiple of"),
            (good with { Vm = good.Vm with { MemoryBytes = (1 << 20) + 1 } }, "memory is a multiple of"),
            (good with { Tag = good.Tag with { VmId = "../vm" } }, "machine's id"),
            (good with { Tag = good.Tag with { VmId = string.Empty } }, "machine's id"),
            .. Host.Unbuildable(),
        ];
        foreach ((GuestSpec spec, string reason) in refused)
        {
            HypervisorException refusal = await Assert.ThrowsAsync<HypervisorException>(() => Host.BuildAsync(spec));
            Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
        }

        Assert.Empty(Host.Remains());
    }

    private async Task DestroyedAsync(IGuest guest)
    {
        Assert.NotEmpty(Host.Remains());
        await guest.DestroyAsync(None);
        await guest.DestroyAsync(None);
        await Host.WaitForExitAsync(guest);
        Assert.Null(guest.State);
        Assert.Throws<ObjectDisposedException>(() => guest.Memory.Read(0, new byte[IGuestMemory.PageBytes]));
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
}
