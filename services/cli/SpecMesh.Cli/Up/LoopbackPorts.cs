using System.Net;
using System.Net.Sockets;

namespace SpecMesh.Cli.Up;

/// <summary>Hands out loopback ports that are free, each once.</summary>
/// <param name="firstPort">Ports are taken from here upwards; null: the wished one, or any.</param>
public sealed class LoopbackPorts(int? firstPort = null)
{
    private readonly HashSet<int> taken = [];
    private int next = firstPort ?? 0;

    /// <summary>A free port.</summary>
    /// <param name="wished">Taken when it is free and no first port was set.</param>
    /// <exception cref="IOException">No port is left above the first one.</exception>
    public int Take(int? wished = null)
    {
        if (firstPort is not null)
        {
            while (!TryTake(next))
            {
                next = next < 65535 ? next + 1 : throw new IOException($"no free port is left from {firstPort} on");
            }

            return next++;
        }

        if (wished is { } port && TryTake(port))
        {
            return port;
        }

        int any;
        do
        {
            any = Any();
        }
        while (!taken.Add(any));

        return any;
    }

    private static int Any()
    {
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    private bool TryTake(int port)
    {
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return taken.Add(port);
        }
        catch (SocketException exception) when (exception.SocketErrorCode is SocketError.AddressAlreadyInUse or SocketError.AccessDenied)
        {
            return false;
        }
    }
}
