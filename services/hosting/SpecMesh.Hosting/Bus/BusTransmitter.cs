using MassTransit;

namespace SpecMesh.Hosting;

/// <summary>The way from <see cref="MessageBus"/> into the bus library.</summary>
internal sealed class BusTransmitter(IBus bus, RabbitQueues? queues)
{
    /// <summary>Ready when the library says that the bus and all its endpoints are. It is asked on the machine's own clock, because the library goes by no other.</summary>
    public static BusGate GateOf(IBusControl bus) => new(() => bus.CheckHealth().Status == BusHealthStatus.Healthy, TimeProvider.System);

    /// <inheritdoc cref="Transmit"/>
    public async Task TransmitAsync(object message, string? queue, Guid messageId, CancellationToken cancellationToken)
    {
        if (queue is null)
        {
            await bus.Publish(message, message.GetType(), Pipe.Execute<PublishContext>(context => context.MessageId = messageId), cancellationToken);
            return;
        }

        if (queues is null)
        {
            ISendEndpoint local = await bus.GetSendEndpoint(new Uri($"queue:{queue}"));
            await local.Send(message, message.GetType(), Pipe.Execute<SendContext>(context => context.MessageId = messageId), cancellationToken);
            return;
        }

        await queues.EnsureAsync(queue, cancellationToken);
        ISendEndpoint endpoint = await bus.GetSendEndpoint(new Uri($"exchange:{queue}"));
        try
        {
            await endpoint.Send(message, message.GetType(), Pipe.Execute<SendContext>(context => SetReturned(context, messageId)), cancellationToken);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            // The broker handed it back because the queue is gone, or the connection broke: the next attempt makes sure of the queue again.
            queues.Forget(queue);
            throw;
        }
    }

    private static void SetReturned(SendContext context, Guid messageId)
    {
        context.MessageId = messageId;
        if (context.TryGetPayload(out RabbitMqSendContext? rabbit))
        {
            rabbit.Mandatory = true;
        }
    }
}
