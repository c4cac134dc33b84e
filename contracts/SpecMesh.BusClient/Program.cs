// A program that knows nothing of SpecMesh but its contracts: it publishes a command as plain JSON and waits for the event that answers it.
//
//   SpecMesh.BusClient AMQP_URL migrate VM SQ [TARGET...]
//   SpecMesh.BusClient AMQP_URL power-on VM MEMORY_BYTES [TARGET...]
//
// Prints the answering event (SpecOpCompleted or SpecOpRefused) as JSON. Exit status: 0 succeeded, 1 refused, failed or cancelled, 2 wrong usage.
using System.Globalization;
using System.Text.Json;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using SpecMesh.Contracts;

if (args.Length < 4 || args[1] is not ("migrate" or "power-on") || !long.TryParse(args[3], NumberStyles.None, CultureInfo.InvariantCulture, out long number))
{
    await Console.Error.WriteLineAsync("usage: SpecMesh.BusClient AMQP_URL migrate VM SQ [TARGET...] | power-on VM MEMORY_BYTES [TARGET...]");
    return 2;
}

IReadOnlyList<string>? targets = args.Length > 4 ? args[4..] : null;
SubmitSpecOp command = args[1] == "migrate"
    ? new SubmitSpecOp(Guid.CreateVersion7(), OperationKind.Migrate, args[2], (int)Math.Min(number, int.MaxValue), targets, RequestedBy: "bus-client")
    : new SubmitSpecOp(Guid.CreateVersion7(), OperationKind.PowerOn, args[2], 1, targets, Vm: new VmDefinition(number, 500, 1), RequestedBy: "bus-client");

ConnectionFactory factory = new() { Uri = new Uri(args[0].Replace("rabbitmq://", "amqp://", StringComparison.Ordinal)) };
await using IConnection connection = await factory.CreateConnectionAsync("bus-client");
await using IChannel channel = await connection.CreateChannelAsync(new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true));

// Every message type has an exchange named after its full type name. Whoever wants to hear of it binds a queue there.
TaskCompletionSource<string> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
QueueDeclareOk queue = await channel.QueueDeclareAsync();
foreach (Type type in (Type[])[typeof(SpecOpCompleted), typeof(SpecOpRefused)])
{
    await channel.ExchangeDeclareAsync(ExchangeOf(type), ExchangeType.Fanout, durable: true);
    await channel.QueueBindAsync(queue.QueueName, ExchangeOf(type), routingKey: "");
}

AsyncEventingBasicConsumer consumer = new(channel);
consumer.ReceivedAsync += (_, delivery) =>
{
    using JsonDocument body = JsonDocument.Parse(delivery.Body);
    if (body.RootElement.GetProperty("operationId").GetGuid() == command.OperationId)
    {
        answer.TrySetResult(body.RootElement.GetRawText());
    }

    return Task.CompletedTask;
};
await channel.BasicConsumeAsync(queue.QueueName, autoAck: true, consumer);

BasicProperties properties = new() { ContentType = "application/json", DeliveryMode = DeliveryModes.Persistent, MessageId = command.OperationId.ToString() };
await channel.BasicPublishAsync(ExchangeOf(typeof(SubmitSpecOp)), routingKey: "", mandatory: true, properties, JsonSerializer.SerializeToUtf8Bytes(command, ContractJson.Options));

string answered = await answer.Task;
Console.WriteLine(answered);
using JsonDocument end = JsonDocument.Parse(answered);
return end.RootElement.TryGetProperty("outcome", out JsonElement outcome) && outcome.GetString() == nameof(OperationOutcome.Succeeded) ? 0 : 1;

static string ExchangeOf(Type message) => $"{message.Namespace}:{message.Name}";
