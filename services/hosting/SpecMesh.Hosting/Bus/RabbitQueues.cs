using System.Collections.Concurrent;
using RabbitMQ.Client;

namespace SpecMesh.Hosting;

/// <summary>
/// Declares the queues that this process sends to, exactly as their consumer declares them. The bus library declares a destination as a classic queue, which
/// the broker then refuses to the consumer, who wants a quorum queue; and without a queue, a message to a host that starts later would be lost.
/// </summary>
internal sealed class RabbitQueues(BusUrl url, string service) : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, byte> known = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim gate = new(1, 1);
    private IConnection? connection;

    /// <summary>Makes sure that the queue exists, bound to the exchange of its name.</summary>
    public async Task EnsureAsync(string queue, CancellationToken cancellationToken)
    {
        if (known.ContainsKey(queue))
        {
            return;
        }

        await gate.WaitAsync(cancellationToken);
        try
        {
            IConnection open = await ConnectAsync(cancellationToken);
            await using IChannel channel = await open.CreateChannelAsync(cancellationToken: cancellationToken);
            await channel.ExchangeDeclareAsync(queue, ExchangeType.Fanout, durable: true, autoDelete: false, cancellationToken: cancellationToken);
            await channel.QueueDeclareAsync(
                queue,
                durable: true,
                exclusive: false,
                autoDelete: false,
                new Dictionary<string, object?> { ["x-queue-type"] = "quorum" },
                cancellationToken: cancellationToken);
            await channel.QueueBindAsync(queue, queue, string.Empty, cancellationToken: cancellationToken);
            known[queue] = 0;
        }
        finally
        {
            gate.Release();
        }
    }

    /// <summary>The queue is declared again before the next message to it.</summary>
    public void Forget(string queue) => known.TryRemove(queue, out _);

    public async ValueTask DisposeAsync()
    {
        if (connection is not null)
        {
            await connection.DisposeAsync();
        }

        gate.Dispose();
    }

    private async Task<IConnection> ConnectAsync(CancellationToken cancellationToken)
    {
        if (connection is { IsOpen: true })
        {
            return connection;
        }

        if (connection is not null)
        {
            await connection.DisposeAsync();
            connection = null;
        }

        ConnectionFactory factory = new()
        {
            HostName = url.Host,
            Port = url.Port,
            VirtualHost = url.VirtualHost,
            UserName = url.User,
            Password = url.Password,
            ClientProvidedName = $"specmesh {service} queues",
            AutomaticRecoveryEnabled = false,
            Ssl = new SslOption { Enabled = url.Tls, ServerName = url.Host },
        };
        return connection = await factory.CreateConnectionAsync(cancellationToken);
    }
}
