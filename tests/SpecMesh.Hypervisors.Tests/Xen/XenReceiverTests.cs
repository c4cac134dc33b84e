using System.Text;
using SpecMesh.DataPath.Tests;
using SpecMesh.Hypervisors.Xen;
using SpecMesh.Hypervisors.Xen.Format;
using SpecMesh.Hypervisors.Xen.Receiving;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>A target's receiver as a process: whatever becomes of it, no domain stays that should not.</summary>
public sealed class XenReceiverTests : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly string folder = Directory.CreateTempSubdirectory("specmesh-").FullName;
    private readonly string program;
    private XenReceiver? receiver;

    public XenReceiverTests()
    {
        program = Path.Combine(folder, "xl");
        File.WriteAllText(program, $"#!/bin/sh\nexec '{Environment.ProcessPath}' '{typeof(StandInXl).Assembly.Location}' xl '{folder}' \"$@\"\n");
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        await (receiver?.DisposeAsync() ?? ValueTask.CompletedTask);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task the_winner_runs_under_the_machines_name_and_outlives_its_receiver()
    {
        await StartAsync(ReceiverMood.Stock);
        SendPages();
        await receiver!.CompleteAsync(SyntheticDomain.State, None);
        Assert.Equal(("vm-1.6f9619ff.1--incoming", "paused"), Assert.Single(Domains()));

        await receiver.GoAsync(ScriptedReceiver.Commit, None);
        Assert.Equal(("vm-1", "running"), Assert.Single(Domains()));
        await receiver.EndAsync();
        Assert.Equal(("vm-1", "running"), Assert.Single(Domains()));
    }

    [Theory]
    [InlineData(nameof(ReceiverMood.Stock), false)]
    [InlineData(nameof(ReceiverMood.Stock), true)]
    [InlineData(nameof(ReceiverMood.Hangs), false)]
    [InlineData(nameof(ReceiverMood.DeafWhenReady), true)]
    public async Task a_loser_leaves_nothing(string mood, bool ready)
    {
        await StartAsync(Enum.Parse<ReceiverMood>(mood));
        if (ready)
        {
            SendPages();
            await receiver!.CompleteAsync(SyntheticDomain.State, None);
            Assert.Single(Domains());
        }

        await receiver!.EndAsync();
        Assert.Empty(Domains());
        await receiver.EndAsync();
    }

    [Fact]
    public async Task a_receiver_that_dies_fails_its_replica_and_leaves_no_domain_without_a_name()
    {
        await StartAsync(ReceiverMood.DiesInStream);
        Exception failure = await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            SendPages();
            await receiver!.CompleteAsync(SyntheticDomain.State, None);
        });

        Assert.True(failure is HypervisorException or IOException, failure.ToString());
        await receiver!.EndAsync();
        Assert.Empty(Domains());
    }

    [Fact]
    public async Task why_a_receiver_cannot_build_the_domain_reaches_the_operator()
    {
        await StartAsync(ReceiverMood.CannotBuild);

        HypervisorException failure = await Assert.ThrowsAsync<HypervisorException>(() => receiver!.CompleteAsync(SyntheticDomain.State, None));
        Assert.Contains("not enough free memory", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task a_winner_that_cannot_start_leaves_nothing_and_says_so()
    {
        await StartAsync(ReceiverMood.CannotStart);
        SendPages();
        await receiver!.CompleteAsync(SyntheticDomain.State, None);

        HypervisorException failure = await Assert.ThrowsAsync<HypervisorException>(() => receiver.GoAsync(ScriptedReceiver.Commit, None));
        Assert.Contains("could not start", failure.Message, StringComparison.Ordinal);
        Assert.False(receiver.MayRun);
        await receiver.EndAsync();
        Assert.Empty(Domains());
    }

    [Fact]
    public async Task domains_of_other_machines_and_of_the_machine_itself_stay()
    {
        await StartAsync(ReceiverMood.Stock);
        File.WriteAllText(Path.Combine(folder, "domain-3"), """{"uuid": "00000000-0000-0000-0000-000000000003", "name": null, "state": "building"}""");
        File.WriteAllText(Path.Combine(folder, "domain-4"), """{"uuid": "00000000-0000-0000-0000-000000000001", "name": "vm-1", "state": "running"}""");

        await receiver!.EndAsync();
        Assert.Equal([(null, "building"), ("vm-1", "running")], Domains().Order());
    }

    [Fact]
    public async Task a_host_without_xl_says_what_is_missing()
    {
        XenReceiverOptions options = Options() with { Xl = new XlCommand(Path.Combine(folder, "none"), TimeProvider.System) };

        HypervisorException failure = await Assert.ThrowsAsync<HypervisorException>(() => XenReceiver.StartAsync(options, None));
        Assert.Contains("control domain", failure.Message, StringComparison.Ordinal);
    }

    private async Task StartAsync(ReceiverMood mood)
    {
        await File.WriteAllTextAsync(Path.Combine(folder, "mood"), mood.ToString());
        receiver = await XenReceiver.StartAsync(Options(), None);
    }

    private XenReceiverOptions Options() => new(
        new XlCommand(program, TimeProvider.System),
        ScriptedReceiver.Tag,
        SyntheticDomain.Setup with { LibxlConfiguration = Encoding.UTF8.GetBytes("""{"c_info": {"type": "pvh", "name": "vm-1", "uuid": "00000000-0000-0000-0000-000000000001"}, "b_info": {}}""") },
        SyntheticDomain.Layout,
        ZeroPages.AsAllocations,
        TimeProvider.System)
    {
        // A receiver that does not end must not make the test wait long; nothing depends on how long it is.
        Limits = new HandshakeLimits { Dismissal = TimeSpan.FromSeconds(3) },
    };

    private void SendPages()
    {
        SimulatedGuest guest = new(SyntheticDomain.Layout.PageCount);
        guest.Populate(1);
        receiver!.Memory.Write(0, guest.Bytes);
    }

    private IEnumerable<(string? Name, string State)> Domains() =>
        StandInXl.Domains(folder).Select(found => (found.Domain["name"]?.GetValue<string>(), found.Domain["state"]!.GetValue<string>()));
}
