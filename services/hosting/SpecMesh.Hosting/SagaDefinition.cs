using Microsoft.Extensions.DependencyInjection;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>A saga whose instance is the fold of one event stream.</summary>
/// <param name="Queue">Queue that receives its messages.</param>
/// <param name="StreamPrefix">The event stream of an instance is this, followed by its id as 32 hexadecimal digits: <c>specop-</c>.</param>
/// <param name="StreamType">Marten's aggregate alias: <c>spec_op</c>.</param>
/// <param name="Initial">State of an instance that has no events yet.</param>
/// <param name="Evolve">Folds one stored event into the state.</param>
public sealed record SagaDefinition<TState>(
    string Queue,
    string StreamPrefix,
    string StreamType,
    Func<Guid, TState> Initial,
    Func<TState, object, TState> Evolve)
    where TState : class
{
    /// <summary>The event stream of an instance.</summary>
    public string StreamId(Guid id) => StreamPrefix + id.ToString("N");

    internal async Task<TState> LoadAsync(UnitOfWork work, Guid id, CancellationToken cancellationToken)
    {
        work.CorrelationId = id.ToString();
        return (await work.LoadAsync(StreamId(id), Initial(id), Evolve, cancellationToken)).State;
    }

    internal async Task<TState> ReadAsync(UnitOfWork work, Guid id, CancellationToken cancellationToken) =>
        (await work.ReadAsync(StreamId(id), Initial(id), Evolve, cancellationToken)).State;
}

/// <summary>Which messages reach a saga, and what handles them.</summary>
public sealed class SagaBuilder<TState>
    where TState : class
{
    private readonly Dictionary<Type, SagaMessage<TState>> messages = [];

    internal SagaBuilder(SagaDefinition<TState> definition, string service)
    {
        Definition = definition;
        Service = service;
    }

    internal SagaDefinition<TState> Definition { get; }

    internal string Service { get; }

    internal IReadOnlyCollection<SagaMessage<TState>> Messages => messages.Values;

    /// <summary>
    /// Handles a message. An instance without events has the initial state: the handler decides what an unknown or a finished instance does, no message faults for it.
    /// What the handler appends with <see cref="HandlerContext.Work"/> is committed after it returns; on a lost race the state is folded anew and the handler runs again.
    /// </summary>
    /// <param name="correlate">Id of the instance that the message is for.</param>
    /// <param name="handler">Decides on the state and fills the unit of work.</param>
    public SagaBuilder<TState> On<T>(Func<T, Guid> correlate, Func<TState, T, HandlerContext, CancellationToken, Task> handler)
        where T : class
    {
        if (!messages.TryAdd(typeof(T), new SagaMessage<TState, T>(correlate, handler)))
        {
            throw new ArgumentException($"The saga on queue '{Definition.Queue}' already handles {typeof(T)}.", nameof(handler));
        }

        return this;
    }

    internal SagaMessage<TState, T> MessageOf<T>()
        where T : class => messages.TryGetValue(typeof(T), out SagaMessage<TState>? message)
            ? (SagaMessage<TState, T>)message
            : throw new ArgumentException($"The saga on queue '{Definition.Queue}' does not handle {typeof(T)}.");
}

/// <summary>One message type of a saga.</summary>
internal abstract class SagaMessage<TState>
    where TState : class
{
    public abstract Type Type { get; }

    /// <summary>How it is handled without the bus library: as <see cref="SagaRunner{TState}"/> does.</summary>
    public abstract Delivery Delivery { get; }

    /// <summary>Calls back with the message type as a type argument.</summary>
    public abstract void Visit(ISagaMessageVisitor<TState> visitor);
}

internal sealed class SagaMessage<TState, T>(Func<T, Guid> correlate, Func<TState, T, HandlerContext, CancellationToken, Task> handler) : SagaMessage<TState>
    where TState : class
    where T : class
{
    public Func<T, Guid> Correlate { get; } = correlate;

    public Func<TState, T, HandlerContext, CancellationToken, Task> Handler { get; } = handler;

    public override Type Type => typeof(T);

    public override Delivery Delivery => new(typeof(T), (message, id, services, token) => services.GetRequiredService<SagaRunner<TState>>().DeliverAsync((T)message, id, token));

    public override void Visit(ISagaMessageVisitor<TState> visitor) => visitor.Visit(this);
}

internal interface ISagaMessageVisitor<TState>
    where TState : class
{
    void Visit<T>(SagaMessage<TState, T> message)
        where T : class;
}
