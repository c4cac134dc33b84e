using System.Net.Sockets;
using System.Threading.Channels;

namespace SpecMesh.DataPath.Tests;

/// <summary>A listener that expects one replica, and strangers that knock.</summary>
internal sealed class Doorstep : IAsyncDisposable
{
    private static readonly byte[] ClusterKey = new byte[32];

    private readonly Channel<MigrationException> refused = Channel.CreateUnbounded<MigrationException>();

    public Doorstep(TimeSpan? handshakeTimeout = null, int maxUnproven = 64)
    {
        Listener = MigrationListener.Start(
            new MigrationListenerOptions
            {
                HandshakeTimeout = handshakeTimeout ?? Race.Patience,
                MaxUnproven = maxUnproven,
                Refused = (_, reason) => refused.Writer.TryWrite(reason),
            },
            TimeProvider.System);
        Identity = new ReplicaIdentity(new ReplicaKey(Guid.NewGuid(), 2, 7), "vm-ä", Shell.MemoryBytes);
        Receiver = Listener.Expect(Identity, TokenOf(Identity), new ShellOf(Shell));
    }

    public SimulatedGuest Shell { get; } = HostileSession.MakeShell();

    public ReplicaIdentity Identity { get; }

    public MigrationListener Listener { get; }

    public MigrationReceiver Receiver { get; }

    public static byte[] TokenOf(ReplicaIdentity identity) => ReplicaToken.Derive(ClusterKey, identity);

    public Socket Knock()
    {
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        socket.Connect(Listener.Endpoint);
        return socket;
    }

    /// <summary>Why the next connection was turned away.</summary>
    public async Task<MigrationException> NextRefusalAsync() => await refused.Reader.ReadAsync(Race.Deadline());

    /// <summary>The one who is expected can still come in, and the shell was not touched before.</summary>
    public async Task MustStillBeOpenAsync()
    {
        Assert.True(Shell.Bytes.SequenceEqual(HostileSession.MakeShell().Bytes));
        Assert.Equal(ReceiverState.Waiting, Receiver.State);
        using Socket socket = Knock();
        RecordConnection records = new(new NetworkStream(socket));
        await Task.Run(() => Handshake.Connect(records, Identity, TokenOf(Identity)));
        Assert.IsType<SourceConnected>(await Receiver.Events.ReadAsync(Race.Deadline()));
    }

    public async ValueTask DisposeAsync() => await Listener.DisposeAsync();
}
