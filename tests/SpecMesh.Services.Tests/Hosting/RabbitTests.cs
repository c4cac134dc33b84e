using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;
using SpecMesh.Hosting;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>The bus on a real broker.</summary>
public sealed class RabbitTests(RabbitBroker broker) : IClassFixture<RabbitBroker>, IDisposable
{
    private const string Namespace = "SpecMesh.Services.Tests.Hosting";
    private readonly TemporaryFolder folder = new();
    private readonly string queue = $"counters-{Guid.NewGuid():N}";
    private readonly Seen<(Guid MessageId, CounterChanged Message)> changed = new();

    [RabbitFact]
    public async Task a_client_that_knows_only_the_contracts_json_can_publish_and_listen()
    {
        Guid id = Guid.NewGuid();
        await using Mesh mesh = await StartAsync();
        await mesh.UntilConnectedAsync();
        await using IConnection connection = await broker.ConnectAsync();
        await using IChannel channel = await connection.CreateChannelAsync();
        string listener = (await channel.QueueDeclareAsync()).QueueName;
        await channel.QueueBindAsync(listener, $"{Namespace}:{nameof(CounterChanged)}", string.Empty);

        await channel.BasicPublishAsync(
            $"{Namespace}:{nameof(AddToCounter)}", string.Empty, mandatory: true, new BasicProperties { ContentType = "application/json" }, Json(new AddToCounter(id, 4)));

        (Guid messageId, CounterChanged message) = await changed.NextAsync();
        Assert.Equal(new CounterChanged(id, 4), message);
        BasicGetResult heard = await GetAsync(channel, listener);
        Assert.Equal("application/json", heard.BasicProperties.ContentType);
        Assert.Equal(messageId.ToString(), heard.BasicProperties.MessageId);
        Assert.Equal(Json(message), heard.Body.ToArray());
    }

    [RabbitFact]
    public async Task the_librarys_envelope_is_accepted()
    {
        Guid id = Guid.NewGuid();
        await using Mesh mesh = await StartAsync();
        await mesh.UntilConnectedAsync();
        await using IConnection connection = await broker.ConnectAsync();
        await using IChannel channel = await connection.CreateChannelAsync();
        byte[] envelope = Encoding.UTF8.GetBytes(
            $$"""{"message": {"counterId": "{{id}}", "amount": 9}, "messageId": "{{Guid.NewGuid()}}", "messageType": ["urn:message:{{Namespace}}:{{nameof(AddToCounter)}}"] }""");

        await channel.BasicPublishAsync(queue, string.Empty, mandatory: true, new BasicProperties { ContentType = "application/vnd.masstransit+json" }, envelope);

        Assert.Equal(new CounterChanged(id, 9), (await changed.NextAsync()).Message);
    }

    [RabbitFact]
    public async Task a_message_that_cannot_be_handled_goes_to_the_error_queue_once_and_the_next_is_handled()
    {
        Guid id = Guid.NewGuid();
        await using Mesh mesh = await StartAsync();
        await mesh.UntilConnectedAsync();
        await using IConnection connection = await broker.ConnectAsync();
        await using IChannel channel = await connection.CreateChannelAsync();
        Dictionary<string, object?> quorum = new() { ["x-queue-type"] = "quorum" };
        await channel.QueueDeclareAsync(queue + "_error", durable: true, exclusive: false, autoDelete: false, quorum);
        (string Exchange, string Body)[] poison =
        [
            ($"{Namespace}:{nameof(AddToCounter)}", "{\"counterId\":"),
            ($"{Namespace}:{nameof(AddToCounter)}", "{\"counterId\":\"not-an-id\",\"amount\":1}"),
            ($"{Namespace}:{nameof(AddToCounter)}", $"{{\"counterId\":\"{id}\",\"amount\":-1}}"),
            (string.Empty, $"{{\"counterId\":\"{id}\",\"amount\":1}}"),
        ];

        foreach ((string exchange, string body) in poison)
        {
            await channel.BasicPublishAsync(exchange, exchange.Length == 0 ? queue : string.Empty, mandatory: true, new BasicProperties { ContentType = "application/json" }, Encoding.UTF8.GetBytes(body));
        }

        await mesh.Bus.SendAsync(queue, new AddToCounter(id, 2), default);

        Assert.Equal(new CounterChanged(id, 2), (await changed.NextAsync()).Message);
        List<string> failed = [];
        while (failed.Count < poison.Length)
        {
            failed.Add(Encoding.UTF8.GetString((await GetAsync(channel, queue + "_error")).Body.Span));
        }

        Assert.Equal(poison.Select(message => message.Body).Order(StringComparer.Ordinal), failed.Order(StringComparer.Ordinal));
        Assert.Equal(0u, await channel.MessageCountAsync(queue + "_error"));
        Assert.Equal(0u, await channel.MessageCountAsync(queue));
    }

    [RabbitFact]
    public async Task a_message_to_a_queue_waits_for_a_consumer_that_starts_later()
    {
        Guid id = Guid.NewGuid();
        await using (Mesh sender = await Mesh.StartAsync(_ => { }, bus: broker.Url))
        {
            await sender.Bus.SendAsync(queue, new AddToCounter(id, 6), default);
        }

        await using Mesh receiver = await StartAsync();
        Assert.Equal(new CounterChanged(id, 6), (await changed.NextAsync()).Message);
    }

    [RabbitFact]
    public async Task a_temporary_queue_goes_away_with_its_consumer()
    {
        Seen<int> seen = new();
        string temporary = $"live-view-{Guid.NewGuid():N}";
        await using (Mesh mesh = await Mesh.StartAsync(
            builder => builder.Endpoint(temporary, endpoint => endpoint.Temporary().Receive<NoteTaken>((note, _, _) =>
            {
                seen.Add(note.Number);
                return Task.CompletedTask;
            })),
            bus: broker.Url))
        {
            await mesh.Bus.PublishAsync(new NoteTaken(3), default);
            Assert.Equal(3, await seen.NextAsync());
        }

        await using IConnection connection = await broker.ConnectAsync();
        await using IChannel channel = await connection.CreateChannelAsync();
        await Assert.ThrowsAsync<OperationInterruptedException>(() => channel.QueueDeclarePassiveAsync(temporary));
    }

    [RabbitFact]
    public async Task a_broker_that_comes_later_is_waited_for_and_nothing_is_lost()
    {
        Guid id = Guid.NewGuid();
        RabbitBroker late = new();
        try
        {
            await using Mesh mesh = await StartAsync(late.Url);
            Task<CounterChanged> answer = Task.Run(async () => (await changed.NextAsync()).Message);
            SagaRunner<Counter> runner = mesh.Services.GetRequiredService<SagaRunner<Counter>>();
            await runner.HandleAsync(new AddToCounter(id, 8), default);
            Assert.NotNull(await mesh.Store.NextDueAsync("counting", default));
            HealthReport before = await mesh.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync();
            Assert.NotEqual(HealthStatus.Healthy, before.Entries["bus"].Status);

            await late.StartAsync();

            Assert.Equal(new CounterChanged(id, 8), await answer);
            await mesh.UntilConnectedAsync();
        }
        finally
        {
            await late.DisposeAsync();
        }
    }

    public void Dispose() => folder.Dispose();

    private static byte[] Json<T>(T message) => JsonSerializer.SerializeToUtf8Bytes(message, Counter.Json);

    private static async Task<BasicGetResult> GetAsync(IChannel channel, string from)
    {
        using CancellationTokenSource patience = new(Mesh.Patience);
        while (true)
        {
            if (await channel.BasicGetAsync(from, autoAck: true, patience.Token) is { } message)
            {
                return message;
            }
        }
    }

    private Task<Mesh> StartAsync(string? url = null) => Mesh.StartAsync(
        builder => builder
            .Saga(Counter.Definition with { Queue = queue }, saga => saga.On<AddToCounter>(add => add.CounterId, (state, add, context, _) =>
            {
                ArgumentOutOfRangeException.ThrowIfNegative(add.Amount);
                int total = state.Total + add.Amount;
                context.Work.Append(Counter.Definition.StreamId(state.Id), Counter.Definition.StreamType, [new CounterIncreased(state.Id, add.Amount, total)]);
                context.Work.Send(new CounterChanged(state.Id, total));
                return Task.CompletedTask;
            }))
            .Endpoint($"listeners-{queue}", endpoint => endpoint.Temporary().Receive<CounterChanged>((message, context, _) =>
            {
                changed.Add((context.MessageId, message));
                return Task.CompletedTask;
            })),
        folder.Store,
        url ?? broker.Url);
}
