using System.Net.Mime;
using System.Runtime.Serialization;
using System.Text.Json;
using MassTransit;
using MassTransit.Serialization;

namespace SpecMesh.Hosting;

/// <summary>
/// Messages as plain contract JSON, content type <c>application/json</c>: the body is the record and nothing else, so that a client that knows only the contracts can publish and listen.
/// The type stands in the header <c>MT-MessageType</c>; where a plain client sets none, in the AMQP property <c>type</c>, else in the name of the exchange that it published to.
/// </summary>
internal sealed class ContractJsonFactory(JsonSerializerOptions json) : ISerializerFactory, IMessageSerializer, IMessageDeserializer
{
    private const string UrnPrefix = "urn:message:";
    private static readonly ContentType Json = new("application/json");

    public ContentType ContentType => Json;

    public IMessageSerializer CreateSerializer() => this;

    public IMessageDeserializer CreateDeserializer() => this;

    public MessageBody GetMessageBody<T>(SendContext<T> context)
        where T : class
    {
        if (context.MessageId is { } id)
        {
            context.Headers.Set(MessageHeaders.MessageId, id.ToString());
        }

        context.Headers.Set(MessageHeaders.MessageType, string.Join(';', context.SupportedMessageTypes));
        return new SystemTextJsonRawMessageBody<T>(context, json);
    }

    public MessageBody GetMessageBody(string text) => new StringMessageBody(text);

    public ConsumeContext Deserialize(ReceiveContext receiveContext)
    {
        string[] types = receiveContext.TransportHeaders.GetMessageTypes();
        if (types.Length == 0)
        {
            types = TypesOfPlainClient(receiveContext);
        }

        return new BodyConsumeContext(receiveContext, Deserialize(receiveContext.Body, receiveContext.TransportHeaders, receiveContext.InputAddress, types));
    }

    public SerializerContext Deserialize(MessageBody body, Headers headers, Uri? destinationAddress = null) =>
        Deserialize(body, headers, destinationAddress, headers.GetMessageTypes());

    public void Probe(ProbeContext context) => context.CreateScope("contractJson").Add("contentType", Json.MediaType);

    private SystemTextJsonRawSerializerContext Deserialize(MessageBody body, Headers headers, Uri? destination, string[] types)
    {
        try
        {
            JsonElement message = JsonSerializer.Deserialize<JsonElement>(body.GetBytes(), json);
            RawMessageContext context = new(headers, destination, RawSerializerOptions.CopyHeaders);
            return new SystemTextJsonRawSerializerContext(
                SystemTextJsonMessageSerializer.Instance, json, Json, context, types, RawSerializerOptions.CopyHeaders, message);
        }
        catch (JsonException exception)
        {
            throw new SerializationException("The message is not JSON.", exception);
        }
    }

    private static string[] TypesOfPlainClient(ReceiveContext receiveContext)
    {
        if (receiveContext.TryGetPayload(out RabbitMqBasicConsumeContext? delivery))
        {
            string? type = delivery.Properties.Type is { Length: > 0 } named ? named : delivery.Exchange;
            if (type is not null && type.Contains(':', StringComparison.Ordinal))
            {
                return [type.StartsWith(UrnPrefix, StringComparison.Ordinal) ? type : UrnPrefix + type];
            }
        }

        // Without a type every handler of the queue would be offered the message, and all but one would misread it.
        throw new SerializationException("The message does not say its type: publish it to the exchange NAMESPACE:TYPE, or set the property 'type' to that name.");
    }
}

/// <summary>Messages in MassTransit's envelope, content type <c>application/vnd.masstransit+json</c>: accepted from clients that use that library, never sent.</summary>
internal sealed class ContractEnvelopeFactory(JsonSerializerOptions json) : ISerializerFactory, IMessageDeserializer
{
    public ContentType ContentType => SystemTextJsonMessageSerializer.JsonContentType;

    public IMessageSerializer CreateSerializer() => throw new NotSupportedException("Envelopes are only read.");

    public IMessageDeserializer CreateDeserializer() => this;

    public MessageBody GetMessageBody(string text) => new StringMessageBody(text);

    public ConsumeContext Deserialize(ReceiveContext receiveContext) =>
        new BodyConsumeContext(receiveContext, Deserialize(receiveContext.Body, receiveContext.TransportHeaders, receiveContext.InputAddress));

    public SerializerContext Deserialize(MessageBody body, Headers headers, Uri? destinationAddress = null)
    {
        try
        {
            MessageEnvelope envelope = JsonSerializer.Deserialize<MessageEnvelope>(body.GetBytes(), SystemTextJsonMessageSerializer.Options)
                ?? throw new SerializationException("The envelope is the JSON null.");
            EnvelopeMessageContext context = new(envelope, SystemTextJsonMessageSerializer.Instance);
            return new SystemTextJsonSerializerContext(
                SystemTextJsonMessageSerializer.Instance, json, ContentType, context, envelope.MessageType ?? [], envelope);
        }
        catch (JsonException exception)
        {
            throw new SerializationException("The message is no envelope of MassTransit.", exception);
        }
    }

    public void Probe(ProbeContext context) => context.CreateScope("contractEnvelope").Add("contentType", ContentType.MediaType);
}
