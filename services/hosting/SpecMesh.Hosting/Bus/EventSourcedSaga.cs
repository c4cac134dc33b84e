using MassTransit;
using MassTransit.Saga;
using Microsoft.Extensions.DependencyInjection;

namespace SpecMesh.Hosting;

/// <summary>A saga instance as the bus library sees it: an event stream folded to its state, and the unit of work that the handler fills.</summary>
internal sealed class EventSourcedSaga<TState> : SagaStateMachineInstance
    where TState : class
{
    public Guid CorrelationId { get; set; }

    /// <summary>The library's own state. There is only one: what an instance may do is decided by the handler on <see cref="State"/>.</summary>
    public string CurrentState { get; set; } = EventSourcedSagaMachine<TState>.ActiveName;

    public required TState State { get; init; }

    public required HandlerContext Context { get; init; }
}

/// <summary>The state machine of a saga: one state, and in it one event per message type, whose activity is the registered handler.</summary>
internal sealed class EventSourcedSagaMachine<TState> : MassTransitStateMachine<EventSourcedSaga<TState>>, ISagaMessageVisitor<TState>
    where TState : class
{
    public const string ActiveName = "Active";

    private readonly State active;

    public EventSourcedSagaMachine(SagaBuilder<TState> saga)
    {
        InstanceState(instance => instance.CurrentState);
        active = State(ActiveName);
        foreach (SagaMessage<TState> message in saga.Messages)
        {
            message.Visit(this);
        }
    }

    public void Visit<T>(SagaMessage<TState, T> message)
        where T : class
    {
        Event<T> arrived = Event<T>(typeof(T).Name, correlation => correlation.CorrelateById(context => message.Correlate(context.Message)));
        During(active, When(arrived).ThenAsync(context =>
            message.Handler(context.Saga.State, context.Message, context.Saga.Context, context.CancellationToken)));
    }
}

/// <summary>A saga on its queue.</summary>
internal sealed record SagaBinding<TState>(SagaBuilder<TState> Saga) : EndpointBinding
    where TState : class
{
    public override IEnumerable<Delivery> Deliveries => Saga.Messages.Select(message => message.Delivery);

    public override void Configure(IReceiveEndpointConfigurator endpoint, IServiceProvider services)
    {
        EventSourcedSagaContexts<TState> contexts = ActivatorUtilities.CreateInstance<EventSourcedSagaContexts<TState>>(services, Saga);
        endpoint.StateMachineSaga(new EventSourcedSagaMachine<TState>(Saga), new SagaRepository<EventSourcedSaga<TState>>(contexts));
    }
}
