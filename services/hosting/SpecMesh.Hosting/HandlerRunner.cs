using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>What is attempted, for the log, the metrics and the store's columns.</summary>
/// <param name="Service">Service whose outbox the messages go to.</param>
/// <param name="Endpoint">Queue or subscription.</param>
/// <param name="MessageId">The message.</param>
/// <param name="WaitForStore">True: a store that cannot be reached is waited for without limit; false: the caller waits, so it is told after a few attempts.</param>
internal sealed record Attempted(string Service, string Endpoint, Guid MessageId, bool WaitForStore);

/// <summary>Runs a handler with a fresh unit of work per attempt, commits it, and tries again after a lost race or while the store is away.</summary>
internal sealed class HandlerRunner(
    IServiceScopeFactory scopes,
    EventTypes types,
    TimeProvider time,
    IOptions<SpecMeshOptions> options,
    MeshMetrics metrics,
    StoreState state,
    FaultPoints faultPoints,
    BackOff backOff,
    FoldCache folds,
    ILogger<HandlerRunner> logger,
    IEventStore? store = null)
{
    private const int DirectStoreAttempts = 4;

    /// <summary>A unit of work for the service.</summary>
    public UnitOfWork NewWork(string service) =>
        new(store ?? throw new InvalidOperationException("SpecMesh:Store is 'none', so nothing can be loaded or appended."), types, service, folds);

    /// <summary>Runs and commits; returns when the effects are durable.</summary>
    public async Task RunAsync(Attempted what, Func<HandlerContext, CancellationToken, Task> handler, CancellationToken cancellationToken, Turns? turns = null)
    {
        await RetryAsync(
            what,
            async token =>
            {
                await using AsyncServiceScope scope = scopes.CreateAsyncScope();
                HandlerContext context = NewContext(what, scope.ServiceProvider);
                await RunOnceAsync(what.Service, context, handler, turns, token);
            },
            cancellationToken);
    }

    private async Task RunOnceAsync(string service, HandlerContext context, Func<HandlerContext, CancellationToken, Task> handler, Turns? turns, CancellationToken cancellationToken)
    {
        if (turns is null)
        {
            await handler(context, cancellationToken);
            await CommitAsync(service, context, checkpoint: null, cancellationToken);
            return;
        }

        async Task HandleAsync(HandlerContext one, CancellationToken token)
        {
            await handler(one, token);
            await faultPoints.BeforeCommitAsync(service, one.Work, token);
        }

        await turns.RunAsync(context, HandleAsync, cancellationToken);
        context.Committed();
    }

    /// <summary>Makes what a handler has put into its unit of work durable.</summary>
    public async Task CommitAsync(string service, HandlerContext context, CheckpointMove? checkpoint, CancellationToken cancellationToken)
    {
        await faultPoints.BeforeCommitAsync(service, context.Work, cancellationToken);
        await context.Work.CommitAsync(checkpoint, cancellationToken);
        context.Committed();
    }

    /// <summary>Runs a handler without a store, once.</summary>
    public async Task RunWithoutStoreAsync(Attempted what, Func<HandlerContext, CancellationToken, Task> handler, CancellationToken cancellationToken)
    {
        await using AsyncServiceScope scope = scopes.CreateAsyncScope();
        await handler(new HandlerContext(null, time.GetUtcNow(), what.MessageId, scope.ServiceProvider), cancellationToken);
    }

    /// <summary>A context whose unit of work somebody else commits.</summary>
    public HandlerContext NewContext(Attempted what, IServiceProvider services)
    {
        UnitOfWork work = NewWork(what.Service);

        // The endpoint is part of the cause: two endpoints of one service that get the same message and append nothing must not send under the same message ids.
        work.CausationId = $"{what.Endpoint}/{what.MessageId:N}";
        return new HandlerContext(work, time.GetUtcNow(), what.MessageId, services);
    }

    /// <summary>Repeats the attempt after lost races (bounded) and while the store is away (bounded only for direct callers).</summary>
    public async Task RetryAsync(Attempted what, Func<CancellationToken, Task> attempt, CancellationToken cancellationToken)
    {
        if (!what.WaitForStore && !state.IsOpen)
        {
            throw new StoreUnavailableException("The event store has not been opened yet.");
        }

        await state.WaitUntilOpenAsync(cancellationToken);
        int conflicts = 0;
        int outages = 0;
        while (true)
        {
            try
            {
                await attempt(cancellationToken);
                return;
            }
            catch (Exception exception) when (IsConflict(exception) && ++conflicts < options.Value.HandlerAttempts)
            {
                metrics.Retried(what, "conflict");
                Log.Conflict(logger, what.Endpoint, what.MessageId, conflicts);
            }
            catch (Exception exception) when (StoreOutage.Is(exception))
            {
                if (++outages >= DirectStoreAttempts && !what.WaitForStore)
                {
                    throw new StoreUnavailableException("The event store cannot be reached.", exception);
                }

                metrics.Retried(what, "store");
                Log.StoreAway(logger, exception, what.Endpoint, what.MessageId, outages);
            }

            await Task.Delay(outages > 0 ? backOff.Exponential(outages) : backOff.Conflict(conflicts), time, cancellationToken);
        }
    }

    private static bool IsConflict(Exception exception) => exception is ConcurrencyException;
}

/// <summary>The event store cannot be reached now: the caller of a direct call should come again later (HTTP 503). Nothing is known to have been done.</summary>
public sealed class StoreUnavailableException : Exception
{
    public StoreUnavailableException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}
