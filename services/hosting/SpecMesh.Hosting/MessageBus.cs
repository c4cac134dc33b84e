using System.Diagnostics;
using System.Runtime.Serialization;
using MassTransit;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>Sends messages directly, without an outbox: for agents and command lines that have no store. Services send with <see cref="HandlerContext.Work"/>.</summary>
public sealed class MessageBus
{
    private static readonly TimeSpan ConfirmBound = TimeSpan.FromSeconds(10);

    private readonly IBus bus;
    private readonly BusGate gate;
    private readonly RabbitQueues? queues;

    /// <summary>Made by the service provider.</summary>
    internal MessageBus(IBus bus, BusGate gate, RabbitQueues? queues)
    {
        this.bus = bus;
        this.gate = gate;
        this.queues = queues;
    }

    /// <summary>Publishes to whoever listens for the message's type. Returns when the broker has confirmed it; waits for the bus first.</summary>
    /// <exception cref="TimeoutException">The broker did not confirm it. It may have arrived: send it again.</exception>
    public Task PublishAsync(object message, CancellationToken cancellationToken) => SendDirectAsync(message, null, cancellationToken);

    /// <summary>Sends to one queue, which keeps the message until it has a consumer. Returns when the broker has confirmed it; waits for the bus first.</summary>
    public Task SendAsync(string queue, object message, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(queue);
        return SendDirectAsync(message, queue, cancellationToken);
    }

    /// <summary>Delivers an outbox message under its own id and within the trace that caused it.</summary>
    internal async Task DeliverAsync(OutboxMessage message, CancellationToken cancellationToken)
    {
        using Activity? activity = MeshTracing.StartDispatch(message);
        await TransmitAsync(message.Message, message.Destination, message.MessageId, cancellationToken);
    }

    /// <summary>True for errors that every further attempt would meet again: a queue name that is none, a message that cannot be written.</summary>
    internal static bool IsPermanent(Exception exception) => exception is ConfigurationException or ArgumentException or UriFormatException or SerializationException;

    private async Task SendDirectAsync(object message, string? queue, CancellationToken cancellationToken)
    {
        await gate.WaitUntilReadyAsync(cancellationToken);
        using CancellationTokenSource bound = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        bound.CancelAfter(ConfirmBound);
        try
        {
            // A broker that dies between a message and its confirm never answers, and the client library does not always notice.
            await TransmitAsync(message, queue, Guid.NewGuid(), bound.Token).WaitAsync(bound.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"The broker did not confirm a {message.GetType().Name} within {ConfirmBound.TotalSeconds} s.");
        }
    }

    private async Task TransmitAsync(object message, string? queue, Guid messageId, CancellationToken cancellationToken)
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
