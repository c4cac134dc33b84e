namespace SpecMesh.Hosting;

/// <summary>What one queue's consumer does.</summary>
public sealed class EndpointBuilder
{
    private readonly QueueRegistration queue;
    private readonly string service;

    internal EndpointBuilder(QueueRegistration queue, string service)
    {
        this.queue = queue;
        this.service = service;
    }

    /// <summary>
    /// Handles a message with a fresh unit of work per attempt, committed in one transaction after the handler returns. A lost race for an event stream is tried again
    /// (bounded, with jitter), an unreachable store is waited for; any other exception moves the message to the queue <c>QUEUE_error</c>.
    /// </summary>
    public EndpointBuilder Handle<T>(Func<T, HandlerContext, CancellationToken, Task> handler)
        where T : class
    {
        queue.Add(typeof(T), needsStore: true, new MessageBinding<T>(service, queue, handler, WithStore: true));
        return this;
    }

    /// <summary>Handles a message without a store, once: <see cref="HandlerContext.Work"/> throws. Any exception moves the message to the queue <c>QUEUE_error</c>.</summary>
    public EndpointBuilder Receive<T>(Func<T, HandlerContext, CancellationToken, Task> handler)
        where T : class
    {
        queue.Add(typeof(T), needsStore: false, new MessageBinding<T>(service, queue, handler, WithStore: false));
        return this;
    }

    /// <summary>
    /// Handlers that want the same event streams take turns (<see cref="HandlerContext.TakeTurnAsync"/>), and works that come together are committed together. Other processes are
    /// still kept apart by the expected versions.
    /// </summary>
    public EndpointBuilder InTurns()
    {
        queue.TakesTurns = true;
        return this;
    }

    /// <summary>The queue is not durable and goes away some time after its consumer (<see cref="SpecMeshOptions.TemporaryQueueSeconds"/>): for live views and tests.</summary>
    public EndpointBuilder Temporary()
    {
        queue.Temporary = true;
        return this;
    }
}
