namespace SpecMesh.Hosting;

/// <summary>
/// Hands a message to a saga directly, for callers that need the answer at once (HTTP). Same handler, same event stream, same guarantees as over the bus.
/// </summary>
public sealed class SagaRunner<TState>
    where TState : class
{
    private readonly SagaBuilder<TState> saga;
    private readonly HandlerRunner runner;
    private readonly SagaGate<TState> gate;

    internal SagaRunner(SagaBuilder<TState> saga, HandlerRunner runner, SagaGate<TState> gate)
    {
        this.saga = saga;
        this.runner = runner;
        this.gate = gate;
    }

    /// <summary>Handles the message; returns when its effects are durable.</summary>
    /// <exception cref="EventStore.ConcurrencyException">Every attempt lost the race for the event stream.</exception>
    /// <exception cref="StoreUnavailableException">The store cannot be reached.</exception>
    /// <exception cref="ArgumentException">The saga does not handle this type.</exception>
    public Task HandleAsync<T>(T message, CancellationToken cancellationToken)
        where T : class => RunAsync(message, readBack: false, cancellationToken);

    /// <summary>Handles the message and folds the event stream again: the state right after, or later where somebody else has appended since.</summary>
    /// <inheritdoc cref="HandleAsync{T}"/>
    public async Task<TState> HandleAndReadAsync<T>(T message, CancellationToken cancellationToken)
        where T : class => (await RunAsync(message, readBack: true, cancellationToken))!;

    /// <summary>The state of an instance; the initial one when it has no events.</summary>
    /// <exception cref="StoreUnavailableException">The store cannot be reached.</exception>
    public async Task<TState> ReadAsync(Guid id, CancellationToken cancellationToken)
    {
        TState state = saga.Definition.Initial(id);
        await runner.RetryAsync(
            new Attempted(saga.Service, saga.Definition.Queue, id, WaitForStore: false),
            async token => state = await saga.Definition.ReadAsync(runner.NewWork(saga.Service), id, token),
            cancellationToken);
        return state;
    }

    /// <summary>Handles a message of the bus: it waits for the store for as long as that takes.</summary>
    internal Task DeliverAsync<T>(T message, Guid messageId, CancellationToken cancellationToken)
        where T : class => RunAsync(message, messageId, waitForStore: true, cancellationToken);

    private async Task<TState?> RunAsync<T>(T message, bool readBack, CancellationToken cancellationToken)
        where T : class
    {
        await RunAsync(message, Guid.NewGuid(), waitForStore: false, cancellationToken);
        return readBack ? await ReadAsync(saga.MessageOf<T>().Correlate(message), cancellationToken) : null;
    }

    private async Task RunAsync<T>(T message, Guid messageId, bool waitForStore, CancellationToken cancellationToken)
        where T : class
    {
        SagaMessage<TState, T> known = saga.MessageOf<T>();
        Guid id = known.Correlate(message);
        using (await gate.EnterAsync(id, cancellationToken))
        {
            await runner.RunAsync(
                new Attempted(saga.Service, saga.Definition.Queue, messageId, waitForStore),
                async (context, token) =>
                {
                    TState state = await saga.Definition.LoadAsync(context.Work, id, token);
                    await known.Handler(state, message, context, token);
                },
                cancellationToken);
        }
    }
}

/// <summary>
/// Lets the messages of one instance through one at a time, in the order of their arrival, within this process. Other processes are kept apart by the
/// expected version; without the gate, replicas that report at the same moment would lose that race against each other again and again.
/// </summary>
internal sealed class SagaGate<TState> : IDisposable
    where TState : class
{
    private const int Stripes = 256;

    private readonly SemaphoreSlim[] stripes = [.. Enumerable.Range(0, Stripes).Select(_ => new SemaphoreSlim(1, 1))];

    public async Task<IDisposable> EnterAsync(Guid id, CancellationToken cancellationToken)
    {
        SemaphoreSlim stripe = stripes[(uint)id.GetHashCode() % Stripes];
        await stripe.WaitAsync(cancellationToken);
        return new Exit(stripe);
    }

    public void Dispose()
    {
        foreach (SemaphoreSlim stripe in stripes)
        {
            stripe.Dispose();
        }
    }

    private sealed class Exit(SemaphoreSlim stripe) : IDisposable
    {
        public void Dispose() => stripe.Release();
    }
}
