using System.Diagnostics;
using System.Runtime.Serialization;
using MassTransit;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>Hands one message to the broker; returns when the broker has confirmed it.</summary>
/// <param name="message">The record.</param>
/// <param name="queue">Queue that receives it; null: whoever listens for its type.</param>
/// <param name="messageId">Id by which its receivers recognise it.</param>
/// <param name="cancellationToken">Gives up.</param>
internal delegate Task Transmit(object message, string? queue, Guid messageId, CancellationToken cancellationToken);

/// <summary>Sends messages directly, without an outbox: for agents and command lines that have no store. Services send with <see cref="HandlerContext.Work"/>.</summary>
public sealed class MessageBus
{
    private static readonly TimeSpan ConfirmBound = TimeSpan.FromSeconds(10);

    private readonly Transmit transmit;
    private readonly BusGate gate;
    private readonly TimeProvider time;

    /// <summary>Made by the service provider.</summary>
    internal MessageBus(Transmit transmit, BusGate gate, TimeProvider time)
    {
        this.transmit = transmit;
        this.gate = gate;
        this.time = time;
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
        await transmit(message.Message, message.Destination, message.MessageId, cancellationToken);
    }

    /// <summary>True for errors that every further attempt would meet again: a queue name that is none, a message that cannot be written.</summary>
    internal static bool IsPermanent(Exception exception) => exception is ConfigurationException or ArgumentException or UriFormatException or SerializationException;

    private async Task SendDirectAsync(object message, string? queue, CancellationToken cancellationToken)
    {
        await gate.WaitUntilReadyAsync(cancellationToken);
        using CancellationTokenSource limit = new(ConfirmBound, time);
        using CancellationTokenSource bound = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            // A broker that dies between a message and its confirm never answers, and the client library does not always notice.
            await transmit(message, queue, Guid.NewGuid(), bound.Token).WaitAsync(bound.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"The broker did not confirm a {message.GetType().Name} within {ConfirmBound.TotalSeconds} s.");
        }
    }
}
