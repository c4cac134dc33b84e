using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>Runs a checkpointed subscription for as long as the process lives; an event whose handler throws is tried again, because skipping it would lose it.</summary>
internal sealed class SubscriptionWorker(
    string service,
    string name,
    Func<StoredEvent, HandlerContext, CancellationToken, Task> handle,
    IServiceScopeFactory scopes,
    TimeProvider time,
    EventTypes types,
    StoreState state,
    BackOff backOff,
    MeshMetrics metrics,
    ILogger<SubscriptionWorker> logger,
    IEventStore? store = null) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (store is null)
        {
            return;
        }

        await state.WaitUntilOpenAsync(stoppingToken);
        Subscription subscription = Subscription.Checkpointed(store, types, service, name, HandleAsync);
        for (int failures = 1; ; failures++)
        {
            long before = subscription.Position;
            try
            {
                await subscription.RunAsync(stoppingToken);
                return;
            }
            catch (Exception exception) when (!stoppingToken.IsCancellationRequested)
            {
                failures = subscription.Position > before ? 1 : failures;
                metrics.ReaderFailed(name);
                Log.ReaderFailed(logger, exception, name, subscription.Position, failures);
            }

            await Task.Delay(backOff.Exponential(failures), time, stoppingToken);
        }
    }

    private async Task HandleAsync(StoredEvent stored, UnitOfWork work, CancellationToken cancellationToken)
    {
        await using AsyncServiceScope scope = scopes.CreateAsyncScope();
        await handle(stored, new HandlerContext(work, time.GetUtcNow(), stored.EventId, scope.ServiceProvider), cancellationToken);
        metrics.ReaderAt(name, stored.Sequence);
    }
}

/// <summary>Feeds a read model in memory, from the first event on.</summary>
internal sealed class ViewWorker(
    string name,
    Action<IServiceProvider, StoredEvent> apply,
    IServiceProvider services,
    StoreState state,
    BackOff backOff,
    TimeProvider time,
    MeshMetrics metrics,
    ILogger<ViewWorker> logger,
    IEventStore? store = null) : BackgroundService
{
    /// <summary>A view may be behind by this: each look at the store costs as much as a commit, and nothing is decided on a view alone.</summary>
    private static readonly TimeSpan Rest = TimeSpan.FromMilliseconds(50);

    private volatile bool caughtUp;

    public string Name => name;

    /// <summary>True once the view has seen every event that was readable at some moment after the start.</summary>
    public bool CaughtUp => caughtUp;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (store is null)
        {
            return;
        }

        await state.WaitUntilOpenAsync(stoppingToken);
        Subscription subscription = Subscription.FromStart(store, Apply, token => Task.Delay(Rest, time, token));
        for (int failures = 1; ; failures++)
        {
            try
            {
                await subscription.CatchUpAsync(stoppingToken);
                MarkCaughtUp(subscription.Position);
                await subscription.RunAsync(stoppingToken);
                return;
            }
            catch (Exception exception) when (!stoppingToken.IsCancellationRequested)
            {
                metrics.ReaderFailed(name);
                Log.ReaderFailed(logger, exception, name, subscription.Position, failures);
            }

            await Task.Delay(backOff.Exponential(failures), time, stoppingToken);
        }
    }

    private void Apply(StoredEvent stored)
    {
        apply(services, stored);
        metrics.ReaderAt(name, stored.Sequence);
    }

    private void MarkCaughtUp(long position)
    {
        if (!caughtUp)
        {
            caughtUp = true;
            Log.ViewCaughtUp(logger, name, position);
        }
    }
}
