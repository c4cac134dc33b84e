using System.Security.Cryptography;
using MassTransit;
using Microsoft.Extensions.DependencyInjection;

namespace SpecMesh.Hosting;

/// <summary>A handler of one message type on one queue.</summary>
internal sealed record MessageBinding<T>(string Service, QueueRegistration Queue, Func<T, HandlerContext, CancellationToken, Task> Handler, bool WithStore) : EndpointBinding
    where T : class
{
    public override void Configure(IReceiveEndpointConfigurator endpoint, IServiceProvider services)
    {
        HandlerRunner runner = services.GetRequiredService<HandlerRunner>();
        MeshMetrics metrics = services.GetRequiredService<MeshMetrics>();
        endpoint.Handler<T>(async message =>
        {
            Attempted what = new(Service, Queue.Name, MessageIdentity.Of(message), WaitForStore: true);
            using MeshMetrics.Handling handling = metrics.Handle<T>(what);
            Task Handle(HandlerContext context, CancellationToken token) => Handler(message.Message, context, token);
            await (WithStore ? runner.RunAsync(what, Handle, message.CancellationToken, Queue.Turns) : runner.RunWithoutStoreAsync(what, Handle, message.CancellationToken));
            handling.Succeeded();
        });
    }
}

/// <summary>The id by which a delivery is recognised when it comes again.</summary>
internal static class MessageIdentity
{
    /// <summary>The sender's id; a digest of the body where a plain client sent none.</summary>
    public static Guid Of(ConsumeContext message) =>
        message.MessageId ?? new Guid(SHA256.HashData(message.ReceiveContext.Body.GetBytes()).AsSpan(0, 16), bigEndian: true);
}
