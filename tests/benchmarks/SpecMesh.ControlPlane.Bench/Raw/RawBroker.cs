using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using SpecMesh.ControlPlane.Bench.Load;

namespace SpecMesh.ControlPlane.Bench.Raw;

/// <summary>
/// The same messages with nothing but RabbitMQ's client: persistent, each confirmed, through fanout exchanges to as many receivers as the real ones have, consumed from quorum
/// queues with the product's prefetch and an acknowledgement each. Publishes wait for their confirms 64 at a time.
/// </summary>
internal sealed class RawBroker(string url, int durableQueues, int bodyBytes) : IAsyncDisposable
{
    private const int PublishesInFlight = 64;
    private const ushort Prefetch = 32;
    private const string Temporary = "raw-temporary";

    private readonly byte[] body = [.. Enumerable.Repeat((byte)'x', bodyBytes)];
    private readonly HashSet<string> declared = new(StringComparer.Ordinal);
    private IConnection? publishing;
    private IConnection? consuming;
    private IChannel? publisher;
    private int left;
    private TaskCompletionSource received = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public async Task OpenAsync()
    {
        Uri address = new(url);
        string[] user = address.UserInfo.Split(':', 2);
        ConnectionFactory factory = new() { HostName = address.Host, Port = address.Port, UserName = user[0], Password = Uri.UnescapeDataString(user[1]) };
        publishing = await factory.CreateConnectionAsync();
        consuming = await factory.CreateConnectionAsync();
        // The client slows publishes down as unconfirmed ones come near its limit, so the limit is far above what is used.
        publisher = await publishing.CreateChannelAsync(new CreateChannelOptions(true, true, new ThrottlingRateLimiter(8192)));
        Dictionary<string, object?> quorum = new() { ["x-queue-type"] = "quorum" };
        for (int queue = 0; queue < durableQueues; queue++)
        {
            await publisher.QueueDeclareAsync(Durable(queue), durable: true, exclusive: false, autoDelete: false, quorum);
            await ConsumeAsync(Durable(queue));
        }

        await publisher.QueueDeclareAsync(Temporary, durable: false, exclusive: false, autoDelete: true);
        await ConsumeAsync(Temporary);
    }

    /// <summary>Publishes and consumes what so many operations do. Returns when the last message is acknowledged.</summary>
    public async Task RunAsync(OperationCost cost, int operations)
    {
        List<string> exchanges = [];
        foreach (MessageCost message in cost.Messages.Values)
        {
            int durable = message.Sent > 0 ? (int)Math.Round(message.Durable / message.Sent) : 0;
            int temporary = message.Temporary > 0 ? 1 : 0;
            for (int n = 0, count = Spread.Of(message.Sent, operations); n < count; n++)
            {
                exchanges.Add(await ExchangeAsync(durable, temporary, n % durableQueues));
                left += durable + temporary;
            }
        }

        received = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int next = -1;
        await Task.WhenAll(Enumerable.Range(0, PublishesInFlight).Select(_ => Task.Run(async () =>
        {
            for (int n = Interlocked.Increment(ref next); n < exchanges.Count; n = Interlocked.Increment(ref next))
            {
                BasicProperties properties = new() { Persistent = true, MessageId = Guid.NewGuid().ToString(), ContentType = "application/json" };
                await publisher!.BasicPublishAsync(exchanges[n], string.Empty, mandatory: false, properties, body);
            }
        })));
        await received.Task;
    }

    public async ValueTask DisposeAsync()
    {
        await (publishing?.DisposeAsync() ?? ValueTask.CompletedTask);
        await (consuming?.DisposeAsync() ?? ValueTask.CompletedTask);
    }

    private static string Durable(int queue) => $"raw-{queue}";

    /// <summary>A fanout exchange to so many quorum queues, beginning with one of them.</summary>
    private async Task<string> ExchangeAsync(int durable, int temporary, int first)
    {
        string name = $"raw-to-{durable}-{temporary}-{first}";
        if (declared.Add(name))
        {
            IChannel channel = publisher!;
            await channel.ExchangeDeclareAsync(name, ExchangeType.Fanout, durable: true);
            for (int n = 0; n < durable; n++)
            {
                await channel.QueueBindAsync(Durable((first + n) % durableQueues), name, string.Empty);
            }

            if (temporary > 0)
            {
                await channel.QueueBindAsync(Temporary, name, string.Empty);
            }
        }

        return name;
    }

    private async Task ConsumeAsync(string queue)
    {
        IChannel channel = await consuming!.CreateChannelAsync();
        await channel.BasicQosAsync(0, Prefetch, global: false);
        AsyncEventingBasicConsumer consumer = new(channel);
        consumer.ReceivedAsync += async (_, delivery) =>
        {
            await channel.BasicAckAsync(delivery.DeliveryTag, multiple: false);
            if (Interlocked.Decrement(ref left) == 0)
            {
                received.TrySetResult();
            }
        };
        await channel.BasicConsumeAsync(queue, autoAck: false, consumer);
    }
}
