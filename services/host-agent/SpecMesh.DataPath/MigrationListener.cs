using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace SpecMesh.DataPath;

/// <summary>Options of a <see cref="MigrationListener"/>.</summary>
public sealed record MigrationListenerOptions
{
    /// <summary>Where to listen. Loopback and any free port by default: listening on a network is asked for, not assumed, because pages are not encrypted.</summary>
    public IPEndPoint Endpoint { get; init; } = new(IPAddress.Loopback, 0);

    /// <summary>Longest time from the connection to the end of the handshake, however slowly its bytes come.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Most connections that have not proved themselves yet; one more is closed at once.</summary>
    public int MaxUnproven { get; init; } = 64;

    /// <summary>Told, on any thread, about each connection that did not become a migration stream. For the log.</summary>
    public Action<EndPoint?, MigrationException>? Refused { get; init; }
}

/// <summary>The one listener of a target agent. It hands a connection to the session that expects it, once the source has proved itself.</summary>
public sealed class MigrationListener : IAsyncDisposable
{
    private readonly ConcurrentDictionary<ReplicaKey, MigrationReceiver> expected = new();
    private readonly ConcurrentDictionary<Socket, TaskCompletionSource> connections = new();
    private readonly Socket listener;
    private readonly MigrationListenerOptions options;
    private readonly TimeProvider time;
    private readonly Task accepting;
    private int unproven;

    private MigrationListener(Socket listener, MigrationListenerOptions options, TimeProvider time)
    {
        this.listener = listener;
        this.options = options;
        this.time = time;
        Endpoint = (IPEndPoint)listener.LocalEndPoint!;
        accepting = AcceptAsync();
    }

    /// <summary>Where it listens.</summary>
    public IPEndPoint Endpoint { get; }

    /// <summary>Begins to listen.</summary>
    /// <exception cref="SocketException">The address is not free or not ours.</exception>
    public static MigrationListener Start(MigrationListenerOptions options, TimeProvider time)
    {
        Socket listener = new(options.Endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            listener.Bind(options.Endpoint);
            listener.Listen();
            return new MigrationListener(listener, options, time);
        }
        catch
        {
            listener.Dispose();
            throw;
        }
    }

    /// <summary>Opens a session for one replica. Dispose it when the replica has ended, before its memory goes.</summary>
    /// <param name="identity">Which replica.</param>
    /// <param name="token">Its token, by <see cref="ReplicaToken.Derive"/>.</param>
    /// <param name="shell">What takes the image. Its guest does not run before the owner has reported a commit.</param>
    /// <param name="faults">What a fault injector asked for; null for nothing.</param>
    /// <param name="keep">Called on the session's thread when an image is whole and verified, before READY leaves; what it throws ends the migration stream instead.</param>
    /// <exception cref="InvalidOperationException">The replica has a session already.</exception>
    public MigrationReceiver Expect(ReplicaIdentity identity, byte[] token, IImageShell shell, ReceiverFaults? faults = null, Action<ImageCompleted>? keep = null)
    {
        MigrationReceiver receiver = new(identity, token, shell, faults ?? new ReceiverFaults(), time, Forget, keep);
        return expected.TryAdd(identity.Key, receiver)
            ? receiver
            : throw new InvalidOperationException($"Replica {identity.Key.Replica} of operation {identity.Key.OperationId} has a session already.");
    }

    /// <summary>Stops listening, closes every connection and ends every session.</summary>
    public async ValueTask DisposeAsync()
    {
        listener.Dispose();
        await accepting;
        // Sessions first: one that waits for the fate of a vote reads nothing, and would not notice that its connection is gone.
        foreach (MigrationReceiver receiver in expected.Values)
        {
            await receiver.DisposeAsync();
        }

        foreach ((Socket socket, TaskCompletionSource closed) in connections)
        {
            socket.Dispose();
            await closed.Task;
        }
    }

    private void Forget(MigrationReceiver receiver) => expected.TryRemove(new KeyValuePair<ReplicaKey, MigrationReceiver>(receiver.Identity.Key, receiver));

    private async Task AcceptAsync()
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await listener.AcceptAsync();
            }
            catch (Exception closed) when (closed is ObjectDisposedException or SocketException { SocketErrorCode: SocketError.OperationAborted or SocketError.Interrupted or SocketError.InvalidArgument })
            {
                return;
            }
            catch (SocketException failure)
            {
                // The peer has gone before it was accepted, or descriptors are short for the moment: neither is a reason to stop listening.
                Report(null, new MigrationException(MigrationFault.ConnectionLost, $"A connection could not be accepted: {failure.Message}", failure));
                continue;
            }

            if (Volatile.Read(ref unproven) >= options.MaxUnproven)
            {
                Report(socket.RemoteEndPoint, new MigrationException(MigrationFault.Unauthenticated, $"{options.MaxUnproven} connections that have not proved themselves are open already."));
                socket.Dispose();
                continue;
            }

            Interlocked.Increment(ref unproven);
            TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
            connections[socket] = ended;
            new Thread(() => Serve(socket, ended)) { Name = "migration stream", IsBackground = true }.Start();
        }
    }

    private void Serve(Socket socket, TaskCompletionSource ended)
    {
        try
        {
            EndPoint? peer = null;
            MigrationReceiver? receiver = null;
            using CancellationTokenSource deadline = new(options.HandshakeTimeout, time);
            try
            {
                peer = socket.RemoteEndPoint;
                receiver = Welcome(socket, deadline);
            }
            catch (Exception failure) when (failure is MigrationException or SocketException or IOException or ObjectDisposedException)
            {
                Report(peer, Explain(failure, deadline.IsCancellationRequested));
            }
            finally
            {
                Interlocked.Decrement(ref unproven);
            }

            receiver?.Run(peer);
        }
        finally
        {
            socket.Dispose();
            connections.TryRemove(socket, out _);
            ended.SetResult();
        }
    }

    /// <summary>The handshake, within its deadline.</summary>
    private MigrationReceiver Welcome(Socket socket, CancellationTokenSource deadline)
    {
        socket.NoDelay = true;
        MigrationSockets.DetectDeadPeer(socket);
        RecordConnection records = new(new NetworkStream(socket, ownsSocket: false));
        using CancellationTokenRegistration late = deadline.Token.Register(socket.Dispose);
        MigrationReceiver receiver = Handshake.Accept(records, expected.GetValueOrDefault, session => (session.Identity, session.Token));
        return late.Unregister() && receiver.TryClaim(records, socket.Dispose)
            ? receiver
            : throw new MigrationException(MigrationFault.Unauthenticated, "The replica has a source already, or has ended.");
    }

    private MigrationException Explain(Exception failure, bool late) => late
        ? new MigrationException(MigrationFault.TimedOut, $"The handshake was not complete within {options.HandshakeTimeout.TotalSeconds} s.", failure)
        : failure as MigrationException ?? new MigrationException(MigrationFault.ConnectionLost, "The connection was gone before the handshake began.", failure);

    private void Report(EndPoint? peer, MigrationException reason) => options.Refused?.Invoke(peer, reason);
}
