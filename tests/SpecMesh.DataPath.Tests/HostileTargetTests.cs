using System.Net;
using System.Net.Sockets;

namespace SpecMesh.DataPath.Tests;

/// <summary>Targets that are not what they say, or say what they cannot know.</summary>
public sealed class HostileTargetTests
{
    [Fact]
    public async Task a_target_without_the_token_gets_no_page()
    {
        using Socket impostor = new(SocketType.Stream, ProtocolType.Tcp);
        impostor.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        impostor.Listen();
        SimulatedGuest guest = HostileSession.MakeGuest();
        ReplicaIdentity identity = new(new ReplicaKey(Guid.NewGuid(), 0, 1), "vm", guest.MemoryBytes);
        DirtyLogOwner owner = new(guest, guest.PageCount, TimeProvider.System, TimeSpan.Zero);
        Task<MigrationSender> connecting = MigrationSender.ConnectAsync(
            new MigrationSenderOptions((IPEndPoint)impostor.LocalEndPoint!, identity, Doorstep.TokenOf(identity), owner, guest, TimeProvider.System), Race.Deadline());
        using Socket accepted = await impostor.AcceptAsync(Race.Deadline());
        accepted.Send(HostileSession.Raw(RecordType.Challenge, 0, new byte[ReplicaToken.NonceBytes + ReplicaToken.Bytes]));
        Assert.Equal(MigrationFault.Unauthenticated, (await Assert.ThrowsAsync<MigrationException>(() => connecting)).Fault);
        Assert.Equal(0, guest.Starts);
    }

    [Fact]
    public async Task a_source_gives_up_on_a_target_that_does_not_answer()
    {
        using Socket silent = new(SocketType.Stream, ProtocolType.Tcp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        silent.Listen();
        SimulatedGuest guest = HostileSession.MakeGuest();
        ReplicaIdentity identity = new(new ReplicaKey(Guid.NewGuid(), 0, 1), "vm", guest.MemoryBytes);
        DirtyLogOwner owner = new(guest, guest.PageCount, TimeProvider.System, TimeSpan.Zero);
        MigrationSenderOptions options = new((IPEndPoint)silent.LocalEndPoint!, identity, Doorstep.TokenOf(identity), owner, guest, TimeProvider.System) { HandshakeTimeout = TimeSpan.FromMilliseconds(100) };
        Assert.Equal(MigrationFault.TimedOut, (await Assert.ThrowsAsync<MigrationException>(() => MigrationSender.ConnectAsync(options, Race.Deadline()))).Fault);
    }

    [Theory]
    [InlineData("ready unasked")]
    [InlineData("voided unasked")]
    [InlineData("resumed unasked")]
    [InlineData("refused unasked")]
    [InlineData("acknowledges too much")]
    [InlineData("speaks as a source")]
    public async Task a_target_that_says_what_it_cannot_know_ends_the_migration_stream(string what)
    {
        await using Doorstep door = new();
        SimulatedGuest guest = HostileSession.MakeGuest();
        DirtyLogOwner owner = new(guest, guest.PageCount, TimeProvider.System, TimeSpan.Zero);
        (MigrationSender sender, RecordConnection target, Socket socket) = await ConnectToProvenTargetAsync(door.Identity, owner, guest);
        using Socket closing = socket;
        await using MigrationSender disposing = sender;
        Task<RoundResult> round = sender.RunRoundAsync(Race.Deadline());
        switch (what)
        {
            case "ready unasked":
                target.Write(RecordType.Ready, ReadyOf(door.Identity, 0));
                break;
            case "voided unasked":
                target.Write(RecordType.Voided, new byte[4]);
                break;
            case "resumed unasked":
                target.Write(RecordType.Resumed, new byte[4]);
                break;
            case "refused unasked":
                target.Write(RecordType.Refused, []);
                break;
            case "acknowledges too much":
                target.Write(RecordType.Ack, AckOf(long.MaxValue, 1));
                break;
            default:
                target.Write(RecordType.RoundEnd, new byte[RoundEnd.Bytes]);
                break;
        }

        Assert.Equal(MigrationFault.OutOfOrder, (await Assert.ThrowsAsync<MigrationException>(() => round)).Fault);
    }

    [Fact]
    public async Task a_target_that_is_ready_with_another_digest_is_not_believed()
    {
        await using Doorstep door = new();
        SimulatedGuest guest = HostileSession.MakeGuest();
        DirtyLogOwner owner = new(guest, guest.PageCount, TimeProvider.System, TimeSpan.Zero);
        (MigrationSender sender, RecordConnection target, Socket socket) = await ConnectToProvenTargetAsync(door.Identity, owner, guest);
        using Socket closing = socket;
        await using MigrationSender disposing = sender;
        owner.BeginSuspend(0);
        owner.FinalHarvest(0);
        Task<ReadyResult> finish = sender.FinishAsync(0, 7, Race.Deadline());
        target.AllowData();
        await Task.Run(() =>
        {
            while (target.Read() != RecordType.Complete)
            {
            }
        });
        target.Write(RecordType.Ready, ReadyOf(door.Identity, digest: 12345));
        Assert.Equal(MigrationFault.DigestMismatch, (await Assert.ThrowsAsync<MigrationException>(() => finish)).Fault);
    }

    private static byte[] ReadyOf(ReplicaIdentity identity, ulong digest)
    {
        byte[] body = new byte[Ready.Bytes];
        new Ready(identity.Key.OperationId, identity.Key.Replica, 0, digest).Write(body);
        return body;
    }

    private static byte[] AckOf(long bytes, int rounds)
    {
        byte[] body = new byte[Ack.Bytes];
        new Ack(bytes, rounds).Write(body);
        return body;
    }

    /// <summary>A sender whose target has the token, and is played by the test.</summary>
    private static async Task<(MigrationSender Sender, RecordConnection Target, Socket Socket)> ConnectToProvenTargetAsync(ReplicaIdentity identity, DirtyLogOwner owner, SimulatedGuest guest)
    {
        using Socket listener = new(SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        Task<MigrationSender> connecting = MigrationSender.ConnectAsync(
            new MigrationSenderOptions((IPEndPoint)listener.LocalEndPoint!, identity, Doorstep.TokenOf(identity), owner, guest, TimeProvider.System), Race.Deadline());
        Socket socket = await listener.AcceptAsync(Race.Deadline());
        RecordConnection target = new(new NetworkStream(socket));
        await Task.Run(() => Handshake.Accept<object>(target, _ => identity, _ => (identity, Doorstep.TokenOf(identity))));
        target.Write(RecordType.Welcome, []);
        return (await connecting, target, socket);
    }
}
