using System.Security.Cryptography;
using MassTransit;
using Microsoft.Extensions.DependencyInjection;

namespace SpecMesh.Hosting;

/// <summary>A handler of one message type on one queue.</summary>
internal sealed record MessageBinding<T>(string Service, QueueRegistration Queue, Func<T, HandlerContext, CancellationToken, Task> Handler, bool WithStore) : EndpointBinding
    where T : class
{
    public override IEnumerable<Delivery> Deliveries => [new Delivery(typeof(T), (message, id, services, token) => HandleAsync((T)message, id, services, token))];

    public override void Configure(IReceiveEndpointConfigurator endpoint, IServiceProvider services) =>
        endpoint.Handler<T>(message => HandleAsync(message.Message, MessageIdentity.Of(message), services, message.CancellationToken));

    private async Task HandleAsync(T message, Guid messageId, IServiceProvider services, CancellationToken cancellationToken)
    {
        HandlerRunner runner = services.GetRequiredService<HandlerRunner>();
        Attempted what = new(Service, Queue.Name, messageId, WaitForStore: true);
        using MeshMetrics.Handling handling = services.GetRequiredService<MeshMetrics>().Handle<T>(what);
        Task Handle(HandlerContext context, CancellationToken token) => Handler(message, context, token);
        await (WithStore ? runner.RunAsync(what, Handle, cancellationToken, Queue.TakesTurns ? services.GetRequiredService<QueueTurns>().Of(Queue.Name) : null) : runner.RunWithoutStoreAsync(what, Handle, cancellationToken));
        handling.Succeeded();
    }
}

/// <summary>The id by which a delivery is recognised when it comes again.</summary>
internal static class MessageIdentity
{
    /// <summary>The sender's id; a digest of the body where a plain client sent none.</summary>
    public static Guid Of(ConsumeContext message) =>
        message.MessageId ?? new Guid(SHA256.HashData(message.ReceiveContext.Body.GetBytes()).AsSpan(0, 16), bigEndian: true);
}
