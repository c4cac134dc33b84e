using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.DataPath.Tests;
using SpecMesh.Hypervisors.Xen;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>A replica that a stock receiver builds, from its shell to its end, on a machine without Xen.</summary>
public sealed class XenShellTests : IAsyncLifetime, IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly GuestTag Tag = ScriptedReceiver.Tag;
    private readonly StandInHost host = new();
    private XenShell shell = null!;
    private bool detached;

    public Task InitializeAsync() => Task.CompletedTask;

    public Task DisposeAsync() => shell is null || detached ? Task.CompletedTask : shell.DestroyAsync(None);

    public void Dispose() => host.Dispose();

    [Fact]
    public async Task a_shell_has_no_domain_before_the_source_has_spoken_and_nobody_can_start_it()
    {
        Build(ReceiverMood.Stock);

        Assert.Equal((GuestState.Paused, 0L, StandInHost.MemoryBytes), (shell.State, shell.Progress, shell.MemoryBytes));
        Assert.Throws<InvalidOperationException>(() => shell.Memory);
        await Assert.ThrowsAsync<HypervisorException>(() => shell.StartAsync(ScriptedReceiver.Commit, None));
        await Assert.ThrowsAsync<HypervisorException>(() => shell.SuspendAsync(None));
        await shell.DestroyAsync(None);
        await shell.DestroyAsync(None);
        Assert.True(shell is { State: null, Exited.IsCompleted: true });
        Assert.Throws<ObjectDisposedException>(() => shell.Memory);
    }

    /// <summary>Nothing but the note says whose a domain is that a killed receiver leaves without a name.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task a_domain_is_noted_as_being_built_until_it_is_tagged_or_gone(bool complete)
    {
        Build(ReceiverMood.Stock);
        Assert.Empty(host.Unfinished);
        shell.Open(SyntheticDomain.Layout.PageCount, StandInHost.SetupBlob, None);
        Assert.Equal(Guid.Parse("00000000-0000-0000-0000-000000000001"), Assert.Single(host.Unfinished).Key);
        if (complete)
        {
            shell.Complete(StandInHost.StateBlob, None);
            Assert.Empty(host.Unfinished);
        }

        await shell.DestroyAsync(None);
        Assert.Empty(host.Unfinished);
    }

    [Fact]
    public async Task the_winner_runs_only_by_its_own_commit_and_under_the_machines_name()
    {
        Build(ReceiverMood.Stock);
        Receive();
        Assert.Equal(("vm-1.6f9619ff.1--incoming", "paused"), Assert.Single(host.Domains()));

        await Assert.ThrowsAsync<HypervisorException>(() => shell.StartAsync(ScriptedReceiver.CommitOf(Tag with { Replica = 2 }), None));
        Assert.Equal(GuestState.Paused, shell.State);
        await shell.StartAsync(ScriptedReceiver.Commit, None);
        Assert.Equal(("vm-1", "running"), Assert.Single(host.Domains()));
        Assert.Equal(GuestState.Running, shell.State);
        await shell.StartAsync(ScriptedReceiver.Commit, None);

        await DetachAsync();
        Assert.Equal(("vm-1", "running"), Assert.Single(host.Domains()));
    }

    [Theory]
    [InlineData(nameof(ReceiverMood.DiesWhenReady))]
    [InlineData(nameof(ReceiverMood.DeafWhenReady))]
    public async Task a_winner_whose_receiver_cannot_take_the_permission_runs_all_the_same(string mood)
    {
        Build(Enum.Parse<ReceiverMood>(mood), report: TimeSpan.FromSeconds(1));
        Receive();
        await shell.StartAsync(ScriptedReceiver.Commit, None);

        Assert.Equal(("vm-1", "running"), Assert.Single(host.Domains()));
        await shell.DestroyAsync(None);
        Assert.Empty(host.Domains());
    }

    [Fact]
    public async Task a_winner_that_its_receiver_could_not_start_is_gone_and_says_so()
    {
        Build(ReceiverMood.CannotStart);
        Receive();

        HypervisorException failure = await Assert.ThrowsAsync<HypervisorException>(() => shell.StartAsync(ScriptedReceiver.Commit, None));
        Assert.Contains("could not start", failure.Message, StringComparison.Ordinal);
        Assert.Null(shell.State);
    }

    [Theory]
    [InlineData(nameof(ReceiverMood.Stock))]
    [InlineData(nameof(ReceiverMood.DeafWhenReady))]
    public async Task a_loser_leaves_nothing(string mood)
    {
        Build(Enum.Parse<ReceiverMood>(mood));
        Receive();
        await shell.DestroyAsync(None);

        Assert.Empty(host.Domains());
        Assert.True(shell is { State: null, Exited.IsCompleted: true });
    }

    [Fact]
    public async Task a_complete_image_outlives_an_agent_that_stops_and_an_incomplete_one_does_not()
    {
        Build(ReceiverMood.Stock);
        shell.Open(SyntheticDomain.Layout.PageCount, StandInHost.SetupBlob, None).Zero(0, 100);
        await DetachAsync();
        Assert.Empty(host.Domains());

        Build(ReceiverMood.Stock);
        Receive();
        await DetachAsync();
        WaitForReceivers();
        Assert.Equal(("vm-1.6f9619ff.1--incoming", "paused"), Assert.Single(host.Domains()));
    }

    [Fact]
    public async Task a_complete_image_outlives_the_kill_of_its_agent()
    {
        // Descriptors that are closed in the wrong order show in about one of ten.
        for (int i = 0; i < 10; i++)
        {
            host.Set(ReceiverMood.Stock);
            using System.Diagnostics.Process agent = System.Diagnostics.Process.Start(ProcessHost.Dotnet("SpecMesh.Hypervisors.Tests.dll", ["hold", host.Folder]))!;
            Assert.Equal("ready", await ProcessHost.ReadLineAsync(agent));
            agent.Kill();
            await agent.WaitForExitAsync();
            WaitForReceivers();
            Assert.Equal(("vm-1.6f9619ff.1--incoming", "paused"), Assert.Single(host.Domains()));
        }
    }

    [Fact]
    public void an_image_that_its_receiver_has_the_end_of_cannot_be_reopened()
    {
        Build(ReceiverMood.Stock);
        Receive();

        Assert.Contains("cannot take more pages", Assert.Throws<HypervisorException>(shell.Reopen).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task why_a_receiver_cannot_build_the_domain_is_what_the_shell_says()
    {
        Build(ReceiverMood.CannotBuild);
        HypervisorException failure = Assert.Throws<HypervisorException>(Receive);

        Assert.Contains("not enough free memory", failure.Message, StringComparison.Ordinal);
        await shell.DestroyAsync(None);
        Assert.Empty(host.Domains());
    }

    [Fact]
    public async Task a_receiver_that_stops_reading_does_not_hold_up_whoever_gives_the_replica_up()
    {
        Build(ReceiverMood.Hangs);
        using CancellationTokenSource session = new();
        IGuestMemory memory = shell.Open(SyntheticDomain.Layout.PageCount, StandInHost.SetupBlob, session.Token);
        Task writing = Task.Run(() => WritePages(memory));
        await session.CancelAsync();
        await Assert.ThrowsAsync<HypervisorException>(() => writing.WaitAsync(TimeSpan.FromSeconds(60)));

        await shell.DestroyAsync(None);
        Assert.Empty(host.Domains());
    }

    private void Build(ReceiverMood mood, TimeSpan? report = null)
    {
        host.Set(mood);
        (shell, detached) = (host.NewShell(Tag, report: report), false);
    }

    private async Task DetachAsync()
    {
        detached = true;
        await shell.DisposeAsync();
    }

    private void Receive()
    {
        WritePages(shell.Open(SyntheticDomain.Layout.PageCount, StandInHost.SetupBlob, None));
        shell.Complete(StandInHost.StateBlob, None);
    }

    private static void WritePages(IGuestMemory memory)
    {
        SimulatedGuest guest = new(SyntheticDomain.Layout.PageCount);
        guest.Populate(1);
        memory.Write(0, guest.Bytes);
    }

    /// <summary>Returns when no receiver of the host is left, so that what is there stays.</summary>
    private void WaitForReceivers() =>
        Assert.True(SpinWait.SpinUntil(() => !File.Exists(Path.Combine(host.Folder, "receiver")), TimeSpan.FromSeconds(60)), "A receiver does not end.");
}
