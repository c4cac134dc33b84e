using System.Security.Cryptography;
using SpecMesh.DataPath;
using SpecMesh.DataPath.Tests;
using SpecMesh.Hypervisors.Xen;
using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>One domain to several hosts at once, from the source's driver to the targets' receivers: each gets a whole migration stream, one runs, and of the others nothing is left.</summary>
public sealed class XenRaceTests : IAsyncLifetime, IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly byte[] ClusterKey = SHA256.HashData("the key of the tests"u8);
    private static readonly Guid Operation = ScriptedReceiver.Tag.OperationId!.Value;
    private readonly StandInHost[] hosts = [new(), new(), new()];
    private readonly List<IAsyncDisposable> open = [];
    private readonly SimulatedGuest guest = new(SyntheticDomain.Layout.PageCount);
    private readonly MigrationListener listener = MigrationListener.Start(new MigrationListenerOptions(), TimeProvider.System);
    private readonly DirtyLogOwner owner;

    public XenRaceTests()
    {
        guest.Populate(7);
        owner = new DirtyLogOwner(guest, guest.PageCount, TimeProvider.System, TimeSpan.Zero);
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (IAsyncDisposable sender in open)
        {
            await sender.DisposeAsync();
        }

        await listener.DisposeAsync();
    }

    public void Dispose()
    {
        foreach (StandInHost host in hosts)
        {
            host.Dispose();
        }
    }

    [Theory]
    [InlineData(ZeroPages.AsData)]
    [InlineData(ZeroPages.AsAllocations)]
    public async Task one_replica_runs_and_of_the_others_nothing_is_left(ZeroPages zeroPages)
    {
        XenShell[] shells = [.. hosts.Select((host, number) => ShellOn(host, number, zeroPages))];
        MigrationSender[] senders = await Task.WhenAll(shells.Select(ConnectAsync));
        await Task.WhenAll(senders.Select(sender => sender.RunRoundAsync(None)));
        guest.GuestWrites(3, 8, 0xF00D);
        guest.GuestWrites(700, 16, 0);
        owner.BeginSuspend(0);
        owner.FinalHarvest(0);

        // The first is cut off before its image is complete, the other two become ready.
        await Task.WhenAll(senders[1..].Select(sender => sender.FinishAsync(0, 1, None)));
        Assert.All(hosts[1..], host => Assert.Equal("paused", Assert.Single(host.Domains()).State));
        await MustBeWholeAsync(hosts[1]);
        await MustBeWholeAsync(hosts[2]);

        await shells[2].StartAsync(ScriptedReceiver.CommitOf(shells[2].Tag), None);
        await senders[0].DisposeAsync();
        await Task.WhenAll(shells[0].DestroyAsync(None), shells[1].DestroyAsync(None));
        Assert.Equal(("vm-1", "running"), Assert.Single(hosts[2].Domains()));
        Assert.All(hosts[..2], host => Assert.Empty(host.Domains()));
    }

    [Fact]
    public async Task a_replica_whose_source_goes_on_fails_with_the_reason_and_leaves_nothing()
    {
        XenShell shell = ShellOn(hosts[0], 0, ZeroPages.AsData);
        MigrationSender sender = await ConnectAsync(shell);
        owner.BeginSuspend(0);
        owner.FinalHarvest(0);
        await sender.FinishAsync(0, 1, None);
        owner.EndSuspend();

        MigrationException failure = await Assert.ThrowsAsync<MigrationException>(() => sender.VoidAsync(1, None));
        Assert.Contains("cannot take more pages", failure.Message, StringComparison.Ordinal);
        await shell.DestroyAsync(None);
        Assert.Empty(hosts[0].Domains());
    }

    [Fact]
    public async Task a_receiver_that_dies_fails_its_replica_with_its_own_words()
    {
        XenShell shell = ShellOn(hosts[0], 0, ZeroPages.AsData);
        hosts[0].Set(ReceiverMood.CannotBuild);
        MigrationReceiver receiver = Expect(shell);
        await using MigrationSender sender = await MigrationSender.ConnectAsync(Options(receiver.Identity), None);
        owner.BeginSuspend(0);
        owner.FinalHarvest(0);
        await Assert.ThrowsAsync<MigrationException>(() => sender.FinishAsync(0, 1, None));

        MigrationFailed? failed = null;
        await foreach (ReceiverEvent happened in receiver.Events.ReadAllAsync())
        {
            failed = happened as MigrationFailed;
        }

        Assert.Contains("not enough free memory", failed?.Reason, StringComparison.Ordinal);
        await shell.DestroyAsync(None);
        Assert.Empty(hosts[0].Domains());
    }

    /// <summary>What the stock receiver has read is a migration stream to Xen's own checker, where that can be had, and holds what the guest holds.</summary>
    private async Task MustBeWholeAsync(StandInHost host)
    {
        byte[] stream = host.Recorded;
        SyntheticDomain.MustEqual(XenStreamReader.Read(stream), guest.Bytes);
        if (VerifyStream.ReasonAgainst is null)
        {
            (bool accepted, string said) = await VerifyStream.RunAsync(stream);
            Assert.True(accepted, said);
        }
    }

    private static XenShell ShellOn(StandInHost host, int number, ZeroPages zeroPages)
    {
        host.Set(ReceiverMood.Stock);
        return host.NewShell(new GuestTag("vm-1", Operation, number, 2), zeroPages);
    }

    private async Task<MigrationSender> ConnectAsync(XenShell shell)
    {
        MigrationReceiver receiver = Expect(shell);
        MigrationSender sender = await MigrationSender.ConnectAsync(Options(receiver.Identity), None);
        open.Add(sender);
        open.Add(receiver);
        return sender;
    }

    private MigrationReceiver Expect(XenShell shell)
    {
        ReplicaIdentity identity = new(new ReplicaKey(Operation, shell.Tag.Replica!.Value, 2), "vm-1", shell.MemoryBytes);
        return listener.Expect(identity, ReplicaToken.Derive(ClusterKey, identity), shell);
    }

    private MigrationSenderOptions Options(ReplicaIdentity identity) =>
        new(listener.Endpoint, identity, ReplicaToken.Derive(ClusterKey, identity), owner, guest, TimeProvider.System) { Setup = StandInHost.SetupBlob, ReadState = () => StandInHost.StateBlob };
}
