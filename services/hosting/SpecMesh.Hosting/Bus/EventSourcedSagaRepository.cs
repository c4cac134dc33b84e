using MassTransit;
using MassTransit.Context;
using MassTransit.Saga;
using Microsoft.Extensions.DependencyInjection;

namespace SpecMesh.Hosting;

/// <summary>
/// The saga repository: loads an instance by folding its event stream and saves it by appending with the expected version, together with the outbox messages and deadlines.
/// A lost race or an absent store starts the whole attempt anew, with a fresh fold.
/// </summary>
internal sealed class EventSourcedSagaContexts<TState>(
    SagaBuilder<TState> saga,
    HandlerRunner runner,
    SagaGate<TState> gate,
    IServiceScopeFactory scopes,
    MeshMetrics metrics) : ISagaRepositoryContextFactory<EventSourcedSaga<TState>>
    where TState : class
{
    public async Task Send<T>(ConsumeContext<T> context, IPipe<SagaRepositoryContext<EventSourcedSaga<TState>, T>> next)
        where T : class
    {
        Attempted what = new(saga.Service, saga.Definition.Queue, MessageIdentity.Of(context), WaitForStore: true);
        using MeshMetrics.Handling handling = metrics.Handle<T>(what);
        using (await gate.EnterAsync(context.CorrelationId ?? Guid.Empty, context.CancellationToken))
        {
            await runner.RetryAsync(
                what,
                async _ =>
                {
                    await using AsyncServiceScope scope = scopes.CreateAsyncScope();
                    HandlerContext attempt = runner.NewContext(what, scope.ServiceProvider);
                    await next.Send(new EventSourcedSagaContext<TState, T>(context, saga, runner, attempt));
                },
                context.CancellationToken);
        }

        handling.Succeeded();
    }

    public Task SendQuery<T>(ConsumeContext<T> context, ISagaQuery<EventSourcedSaga<TState>> query, IPipe<SagaRepositoryQueryContext<EventSourcedSaga<TState>, T>> next)
        where T : class => throw new NotSupportedException("Messages reach a saga by the id of its instance only: an event store has no queries over instances.");

    public void Probe(ProbeContext context) => context.Add("persistence", "event stream");
}

/// <summary>One attempt at one message of one instance.</summary>
internal sealed class EventSourcedSagaContext<TState, T>(ConsumeContext<T> context, SagaBuilder<TState> saga, HandlerRunner runner, HandlerContext attempt)
    : ConsumeContextScope<T>(context), SagaRepositoryContext<EventSourcedSaga<TState>, T>
    where TState : class
    where T : class
{
    private readonly ConsumeContext<T> consumed = context;

    /// <summary>Never null: an event stream without events folds to the initial state, so that no message faults for an unknown instance.</summary>
    public async Task<SagaConsumeContext<EventSourcedSaga<TState>, T>> Load(Guid correlationId)
    {
        TState state = await saga.Definition.LoadAsync(attempt.Work, correlationId, CancellationToken);
        return await CreateSagaConsumeContext(consumed, new EventSourcedSaga<TState> { CorrelationId = correlationId, State = state, Context = attempt }, SagaConsumeContextMode.Load);
    }

    public Task Update(SagaConsumeContext<EventSourcedSaga<TState>> context) =>
        runner.CommitAsync(saga.Service, context.Saga.Context, checkpoint: null, CancellationToken);

    public Task Save(SagaConsumeContext<EventSourcedSaga<TState>> context) => Update(context);

    public Task Undo(SagaConsumeContext<EventSourcedSaga<TState>> context) => Task.CompletedTask;

    public Task Discard(SagaConsumeContext<EventSourcedSaga<TState>> context) => Task.CompletedTask;

    public Task Delete(SagaConsumeContext<EventSourcedSaga<TState>> context) =>
        throw new NotSupportedException("An instance ends by its events; its event stream is never deleted.");

    public Task<SagaConsumeContext<EventSourcedSaga<TState>, T>> Add(EventSourcedSaga<TState> instance) =>
        throw new NotSupportedException("An instance begins by its first event; it is never added.");

    public Task<SagaConsumeContext<EventSourcedSaga<TState>, T>> Insert(EventSourcedSaga<TState> instance) => Add(instance);

    public Task<SagaConsumeContext<EventSourcedSaga<TState>, TMessage>> CreateSagaConsumeContext<TMessage>(
        ConsumeContext<TMessage> consumeContext, EventSourcedSaga<TState> instance, SagaConsumeContextMode mode)
        where TMessage : class =>
        Task.FromResult<SagaConsumeContext<EventSourcedSaga<TState>, TMessage>>(new DefaultSagaConsumeContext<EventSourcedSaga<TState>, TMessage>(consumeContext, instance));
}
