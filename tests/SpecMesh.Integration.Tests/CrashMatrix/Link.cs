using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>
/// The network between one process and one server: a TCP proxy on loopback, one per pair. It can fall silent, in both directions or in one, as a cable that is pulled: nothing
/// is refused and nothing arrives, and what was on its way arrives when the network heals, as with TCP's own repetition. It can also reset its connections.
/// </summary>
public sealed class Link : IAsyncDisposable
{
    private readonly Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly ConcurrentDictionary<Connection, bool> connections = new();
    private readonly CancellationTokenSource ended = new();
    private readonly Func<IStreamWatch>? newWatch;
    private readonly Task accepting;

    /// <param name="from">Who connects; null: anybody.</param>
    /// <param name="to">Who is connected to.</param>
    /// <param name="targetPort">Where it listens, on loopback.</param>
    /// <param name="newWatch">Looks at what passes, one object per connection; null: nobody does.</param>
    public Link(string? from, string to, int targetPort, Func<IStreamWatch>? newWatch = null)
    {
        (From, To, TargetPort, this.newWatch) = (from, to, targetPort, newWatch);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(128);
        Port = ((IPEndPoint)listener.LocalEndPoint!).Port;
        accepting = Task.Run(AcceptAsync);
    }

    public string? From { get; }

    public string To { get; }

    public int TargetPort { get; }

    /// <summary>Where whoever connects is to connect.</summary>
    public int Port { get; }

    /// <summary>What flows to the server.</summary>
    public Gate Up { get; } = new();

    /// <summary>What flows back.</summary>
    public Gate Down { get; } = new();

    /// <summary>Nothing arrives any more, in either direction.</summary>
    public void FallSilent()
    {
        Up.Close();
        Down.Close();
    }

    /// <summary>Everything arrives again.</summary>
    public void Heal()
    {
        Up.Open();
        Down.Open();
    }

    /// <summary>Breaks every connection.</summary>
    public void Reset()
    {
        foreach (Connection connection in connections.Keys)
        {
            connection.Reset();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await ended.CancelAsync();
        listener.Dispose();
        Reset();
        await accepting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        ended.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            Socket client = await listener.AcceptAsync(ended.Token);
            Socket server = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            Connection connection = new(this, client, server);
            connections[connection] = true;
            _ = Task.Run(() => connection.RunAsync());
        }
    }

    /// <summary>One direction: open, or closed until it is opened again.</summary>
    public sealed class Gate
    {
        private volatile TaskCompletionSource opened = Opened();

        public void Close()
        {
            if (opened.Task.IsCompleted)
            {
                opened = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }

        public void Open() => opened.TrySetResult();

        internal Task PassAsync(CancellationToken cancellationToken) => opened.Task.WaitAsync(cancellationToken);

        private static TaskCompletionSource Opened()
        {
            TaskCompletionSource opened = new();
            opened.SetResult();
            return opened;
        }
    }

    private sealed class Connection(Link link, Socket client, Socket server)
    {
        private readonly IStreamWatch? watch = link.newWatch?.Invoke();

        public async Task RunAsync()
        {
            try
            {
                client.NoDelay = true;
                await link.Up.PassAsync(link.ended.Token);
                await server.ConnectAsync(IPAddress.Loopback, link.TargetPort, link.ended.Token);
                await Task.WhenAll(PumpAsync(client, server, link.Up, toServer: true), PumpAsync(server, client, link.Down, toServer: false));
            }
            catch (Exception over) when (over is SocketException or OperationCanceledException or ObjectDisposedException)
            {
                // One end is gone: the other one is told so.
                Reset();
            }
            finally
            {
                link.connections.TryRemove(this, out _);
                client.Dispose();
                server.Dispose();
            }
        }

        public void Reset()
        {
            foreach (Socket socket in (Socket[])[client, server])
            {
                socket.Close(timeout: 0);
            }
        }

        private async Task PumpAsync(Socket from, Socket to, Gate gate, bool toServer)
        {
            byte[] buffer = new byte[64 * 1024];
            try
            {
                int read;
                while ((read = await from.ReceiveAsync(buffer, link.ended.Token)) > 0)
                {
                    await gate.PassAsync(link.ended.Token);
                    if (watch?.Cuts(buffer.AsSpan(0, read), toServer) == true)
                    {
                        Reset();
                        return;
                    }

                    await SendAllAsync(to, buffer.AsMemory(0, read));
                }

                await gate.PassAsync(link.ended.Token);
                to.Shutdown(SocketShutdown.Send);
            }
            catch (Exception over) when (over is SocketException or ObjectDisposedException)
            {
                // A process that died does not reach through a silent network either.
                await gate.PassAsync(link.ended.Token);
                Reset();
            }
        }

        private async Task SendAllAsync(Socket to, ReadOnlyMemory<byte> bytes)
        {
            while (!bytes.IsEmpty)
            {
                bytes = bytes[await to.SendAsync(bytes, link.ended.Token)..];
            }
        }
    }
}

/// <summary>Looks at what passes through one connection.</summary>
public interface IStreamWatch
{
    /// <summary>True when the connection is to break now, before these bytes are passed on.</summary>
    /// <param name="bytes">What is about to be passed on.</param>
    /// <param name="toServer">In which direction.</param>
    bool Cuts(ReadOnlySpan<byte> bytes, bool toServer);
}
