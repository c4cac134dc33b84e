using System.Net.Sockets;

namespace SpecMesh.DataPath;

/// <summary>Socket options that both ends of a migration stream want.</summary>
internal static class MigrationSockets
{
    private const int IdleSeconds = 5;
    private const int IntervalSeconds = 2;
    private const int Probes = 3;

    /// <summary>
    /// Turns on TCP keep-alive, so that a peer whose host has died without a word is noticed in about ten seconds even while the migration stream is idle. This is its
    /// heartbeat: the kernel answers it, so it tells nothing about a peer that hangs, which the progress policy is for.
    /// </summary>
    public static void DetectDeadPeer(Socket socket)
    {
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, IdleSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, IntervalSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, Probes);
    }
}
