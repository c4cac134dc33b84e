using System.Net.Sockets;

namespace SpecMesh.DataPath.Tests;

/// <summary>Peers that have not proved themselves.</summary>
public sealed class HostilePeerTests
{
    [Theory]
    [InlineData("operation")]
    [InlineData("replica")]
    [InlineData("epoch")]
    [InlineData("machine")]
    [InlineData("memory")]
    [InlineData("token")]
    public async Task a_source_with_the_wrong_token_or_the_token_of_something_else_is_turned_away(string lie)
    {
        await using Doorstep door = new();
        ReplicaIdentity other = Lie(door.Identity, lie);
        byte[] token = lie == "token" ? new byte[ReplicaToken.Bytes] : Doorstep.TokenOf(other);

        // It says who it is truthfully, with a token that it was given for something else ...
        await MustBeTurnedAwayAsync(door, door.Identity, token);

        // ... or claims to be what its token is for.
        await MustBeTurnedAwayAsync(door, other, token);
        await door.MustStillBeOpenAsync();
    }

    [Fact]
    public void tokens_differ_in_every_field_that_they_are_bound_to()
    {
        ReplicaIdentity identity = new(new ReplicaKey(Guid.NewGuid(), 1, 2), "vm", 4096);
        HashSet<string> tokens = [Convert.ToHexString(Doorstep.TokenOf(identity))];
        string[] fields = ["operation", "replica", "epoch", "machine", "memory"];
        Assert.All(fields, field => Assert.True(tokens.Add(Convert.ToHexString(Doorstep.TokenOf(Lie(identity, field))))));
        byte[] otherKey = [.. Enumerable.Repeat((byte)1, 32)];
        Assert.True(tokens.Add(Convert.ToHexString(ReplicaToken.Derive(otherKey, identity))));
        Assert.Throws<ArgumentOutOfRangeException>(() => ReplicaToken.Derive(new byte[15], identity));
    }

    [Fact]
    public async Task a_replayed_handshake_is_turned_away()
    {
        await using Doorstep door = new();
        byte[] recorded = await RecordHandshakeAsync(door);
        using Socket replay = door.Knock();
        replay.Send(recorded);
        Assert.Equal(MigrationFault.Unauthenticated, (await door.NextRefusalAsync()).Fault);
    }

    [Fact]
    public async Task a_flipped_bit_in_any_byte_of_the_handshake_turns_the_source_away()
    {
        await using Doorstep door = new();
        int length = Handshake.HelloBytes(5) + RecordFormat.HeaderBytes + ReplicaToken.Bytes + RecordFormat.HeaderBytes;
        for (int offset = 0; offset < length; offset++)
        {
            using Socket socket = door.Knock();
            RecordConnection records = new(new BitFlipper(socket, offset));
            await Task.Run(() => Assert.Throws<MigrationException>(() => Handshake.Connect(records, door.Identity, Doorstep.TokenOf(door.Identity))));
            await door.NextRefusalAsync();
        }

        await door.MustStillBeOpenAsync();
    }

    [Fact]
    public async Task pages_before_the_handshake_are_turned_away()
    {
        await using Doorstep door = new();
        using Socket socket = door.Knock();
        socket.Send(HostileSession.ValidRecords()[0]);
        Assert.Equal(MigrationFault.Unauthenticated, (await door.NextRefusalAsync()).Fault);
        await door.MustStillBeOpenAsync();
    }

    [Fact]
    public async Task garbage_at_the_door_is_turned_away()
    {
        await using Doorstep door = new();
        for (int seed = 0; seed < 100; seed++)
        {
            byte[] garbage = new byte[1 + new Random(seed).Next(500)];
            new Random(seed).NextBytes(garbage);
            using Socket socket = door.Knock();
            socket.Send(garbage);
            socket.Shutdown(SocketShutdown.Send);
            await door.NextRefusalAsync();
        }

        await door.MustStillBeOpenAsync();
    }

    [Fact]
    public async Task a_second_source_is_turned_away_and_the_first_goes_on()
    {
        await using Race race = new(pages: 64);
        Target target = await race.JoinAsync();
        ReplicaIdentity identity = race.Identity(0);
        MigrationSenderOptions second = new(race.Listener.Endpoint, identity, Race.Token(identity), race.Owner, race.Guest, TimeProvider.System);
        await Assert.ThrowsAsync<MigrationException>(() => MigrationSender.ConnectAsync(second, Race.Deadline()));
        race.Suspend(0);
        await target.Sender.FinishAsync(0, 7, Race.Deadline());
        target.MustEqual(race.Guest);
    }

    [Fact]
    public async Task a_source_that_says_nothing_is_turned_away_after_the_deadline()
    {
        await using Doorstep door = new(handshakeTimeout: TimeSpan.FromMilliseconds(100));
        using Socket silent = door.Knock();
        Assert.Equal(MigrationFault.TimedOut, (await door.NextRefusalAsync()).Fault);
        Assert.True(HasEnded(silent));
    }

    [Fact]
    public async Task a_source_that_drips_bytes_is_turned_away_after_the_deadline()
    {
        await using Doorstep door = new(handshakeTimeout: TimeSpan.FromMilliseconds(300));
        using Socket slow = door.Knock();
        Task<MigrationException> refusal = door.NextRefusalAsync();
        byte[] hello = HostileSession.Raw(RecordType.Hello, 0, new byte[Handshake.HelloBytes(0)]);
        try
        {
            // A byte at a time, and never the last one: no single read fails, only the whole is late.
            for (int i = 0; i < hello.Length - 1; i++)
            {
                slow.Send(hello.AsSpan(i, 1));
            }
        }
        catch (SocketException)
        {
            // On a busy machine the deadline may come before the bytes are sent.
            Assert.True(HasEnded(slow));
        }

        Assert.Equal(MigrationFault.TimedOut, (await refusal).Fault);
    }

    [Fact]
    public async Task only_so_many_strangers_are_let_in_at_once()
    {
        await using Doorstep door = new(maxUnproven: 2);
        using Socket one = door.Knock(), two = door.Knock(), three = door.Knock();
        Assert.Contains("2 connections", (await door.NextRefusalAsync()).Message, StringComparison.Ordinal);
        one.Dispose();
        Assert.Equal(MigrationFault.ConnectionLost, (await door.NextRefusalAsync()).Fault);
    }

    /// <summary>The other end has closed, in order or not.</summary>
    private static bool HasEnded(Socket socket)
    {
        try
        {
            return socket.Receive(new byte[1]) == 0;
        }
        catch (SocketException reset)
        {
            return reset.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown or SocketError.ConnectionAborted;
        }
    }

    /// <summary>A liar does not mind that the target's proof does not fit its token.</summary>
    private static async Task MustBeTurnedAwayAsync(Doorstep door, ReplicaIdentity claimed, byte[] token)
    {
        using Socket socket = door.Knock();
        RecordConnection records = new(new NetworkStream(socket));
        byte[] nonce = new byte[ReplicaToken.NonceBytes];
        await Task.Run(() =>
        {
            records.Write(RecordType.Hello, Handshake.WriteHello(claimed, nonce));
            try
            {
                records.Read(RecordType.Challenge);
                records.Write(RecordType.Proof, ReplicaToken.ProveSource(token, nonce, records.Payload[..ReplicaToken.NonceBytes]));
            }
            catch (MigrationException closed)
            {
                Assert.Equal(MigrationFault.ConnectionLost, closed.Fault);
            }
        });
        Assert.Equal(MigrationFault.Unauthenticated, (await door.NextRefusalAsync()).Fault);
    }

    private static ReplicaIdentity Lie(ReplicaIdentity identity, string about) => about switch
    {
        "operation" => identity with { Key = identity.Key with { OperationId = Guid.NewGuid() } },
        "replica" => identity with { Key = identity.Key with { Replica = identity.Key.Replica + 1 } },
        "epoch" => identity with { Key = identity.Key with { Epoch = identity.Key.Epoch - 1 } },
        "machine" => identity with { VmId = identity.VmId + "x" },
        "memory" => identity with { MemoryBytes = identity.MemoryBytes * 2 },
        _ => identity,
    };

    /// <summary>Everything that an honest source sends up to its welcome.</summary>
    private static async Task<byte[]> RecordHandshakeAsync(Doorstep door)
    {
        using MemoryStream sent = new();
        using Socket socket = door.Knock();
        RecordConnection records = new(new Recorder(socket, sent));
        ReplicaIdentity again = door.Identity with { Key = door.Identity.Key with { Replica = 99 } };
        MigrationReceiver first = door.Listener.Expect(again, Doorstep.TokenOf(again), new ShellOf(HostileSession.MakeShell()));
        await Task.Run(() => Handshake.Connect(records, again, Doorstep.TokenOf(again)));
        await first.DisposeAsync();
        door.Listener.Expect(again, Doorstep.TokenOf(again), new ShellOf(HostileSession.MakeShell()));
        return sent.ToArray();
    }

    private sealed class Recorder(Socket socket, MemoryStream sent) : NetworkStream(socket)
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
            sent.Write(buffer);
            base.Write(buffer);
        }
    }

    private sealed class BitFlipper(Socket socket, int offset) : NetworkStream(socket)
    {
        private int written;

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            byte[] copy = buffer.ToArray();
            if (offset >= written && offset < written + copy.Length)
            {
                copy[offset - written] ^= 1;
            }

            written += copy.Length;
            base.Write(copy);

            // A flipped length makes the target wait for bytes that will never come; the source has said all that it will.
            if (offset < written)
            {
                Socket.Shutdown(SocketShutdown.Send);
            }
        }
    }
}
