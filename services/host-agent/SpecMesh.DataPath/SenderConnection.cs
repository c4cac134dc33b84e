using System.Net.Sockets;

namespace SpecMesh.DataPath;

/// <summary>The connection of a migration stream at the source. Closing it, from any thread, ends whatever blocks on it.</summary>
internal sealed class SenderConnection : IDisposable
{
    private static readonly TimeSpan AbortTimeout = TimeSpan.FromSeconds(1);

    private readonly Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private RecordConnection? records;

    /// <summary>The records, once the connection is open.</summary>
    public RecordConnection Records => records ?? throw new InvalidOperationException("The migration stream is not connected.");

    /// <summary>Connects, shows both ends to each other and says what the guest is. Blocks the calling thread.</summary>
    /// <exception cref="MigrationException">Nobody listens, it took too long, or the target did not prove itself.</exception>
    public void Open(MigrationSenderOptions options, CancellationToken cancellationToken)
    {
        using CancellationTokenSource deadline = new(options.HandshakeTimeout, options.Time);
        using CancellationTokenRegistration late = deadline.Token.Register(socket.Dispose);
        using CancellationTokenRegistration cancelled = cancellationToken.Register(socket.Dispose);
        try
        {
            socket.Connect(options.Endpoint);
            MigrationSockets.DetectDeadPeer(socket);
            records = new RecordConnection(new NetworkStream(socket, ownsSocket: false));
            Handshake.Connect(records, options.Identity, options.Token);
            records.Write(RecordType.Setup, Setup.Write(options.DirtyLog.PageCount, options.Setup.Span));
        }
        catch (Exception failure) when (failure is SocketException or IOException or ObjectDisposedException or MigrationException { Fault: MigrationFault.ConnectionLost })
        {
            socket.Dispose();
            cancellationToken.ThrowIfCancellationRequested();
            throw deadline.IsCancellationRequested
                ? new MigrationException(MigrationFault.TimedOut, $"{options.Endpoint} did not complete the handshake within {options.HandshakeTimeout.TotalSeconds} s.", failure)
                : new MigrationException(MigrationFault.ConnectionLost, $"{options.Endpoint} could not be reached or closed the connection: {failure.Message}", failure);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Tells the target why, if that does not take long. Only when no other thread is sending.</summary>
    public void SendAbort(string reason)
    {
        try
        {
            socket.SendTimeout = (int)AbortTimeout.TotalMilliseconds;
            Records.Write(RecordType.Abort, RecordText.Write(reason));
        }
        catch (Exception failure) when (failure is MigrationException or SocketException or ObjectDisposedException)
        {
            // The connection is closed next, and the target learns the reason from its own AbortReplica: nothing depends on this record.
            socket.Dispose();
        }
    }

    public void Dispose() => socket.Dispose();
}
