using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>What one attempt at handling one message works with. A repeated attempt gets a fresh one.</summary>
public sealed class HandlerContext
{
    private readonly UnitOfWork? work;
    private readonly List<Action> afterCommit = [];

    internal HandlerContext(UnitOfWork? work, DateTimeOffset now, Guid messageId, IServiceProvider services)
    {
        this.work = work;
        Now = now;
        MessageId = messageId;
        Services = services;
    }

    /// <summary>What is appended, sent and scheduled; committed in one transaction after the handler has returned.</summary>
    /// <exception cref="InvalidOperationException">The handler was registered with <see cref="EndpointBuilder.Receive{T}"/>, which has no store.</exception>
    public UnitOfWork Work => work ?? throw new InvalidOperationException("This handler has no event store: register it with Handle instead of Receive.");

    /// <summary>Does something once the work is durable, such as counting or logging it. An attempt that is repeated after a lost race does it the last time only.</summary>
    public void AfterCommit(Action action) => afterCommit.Add(action);

    /// <summary>The time of this attempt: decisions take it from here.</summary>
    public DateTimeOffset Now { get; }

    /// <summary>The message's id, the same for every delivery of it. A digest of the body where a plain client sent none.</summary>
    public Guid MessageId { get; }

    /// <summary>Services of this attempt's scope.</summary>
    public IServiceProvider Services { get; }

    /// <summary>How the handler gets its turn; null on queues without turns.</summary>
    internal Func<CancellationToken, Task>? OnTakeTurn { get; set; }

    /// <summary>
    /// Waits until no other handler of this queue is between this call and its end. Event streams that several of them append to are loaded after it; what is only read, and by this
    /// handler alone, before it. Returns at once on a queue that was not registered with <see cref="EndpointBuilder.InTurns"/>.
    /// </summary>
    public Task TakeTurnAsync(CancellationToken cancellationToken) => OnTakeTurn?.Invoke(cancellationToken) ?? Task.CompletedTask;

    /// <summary>Called by whoever has committed the work.</summary>
    internal void Committed() => afterCommit.ForEach(action => action());
}
