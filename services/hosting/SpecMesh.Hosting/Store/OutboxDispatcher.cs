using System.Text.Json;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>
/// Publishes one service's outbox: messages at once, deadlines when due. A message is removed from the store only after the broker has confirmed it;
/// until then it is published again, under the same id.
/// </summary>
internal sealed class OutboxDispatcher(
    string service,
    BusGate gate,
    MessageBus bus,
    StoreState state,
    EventTypes types,
    TimeProvider time,
    IOptions<SpecMeshOptions> options,
    BackOff backOff,
    MeshMetrics metrics,
    FaultPoints faultPoints,
    ILogger<OutboxDispatcher> logger,
    IEventStore? store = null) : BackgroundService
{
    private static readonly TimeSpan ConfirmTimeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ElsewherePause = TimeSpan.FromMilliseconds(25);

    /// <summary>A commit of another process is noticed after this time at the latest, where the store cannot tell sooner.</summary>
    internal TimeSpan LongestWait { get; init; } = TimeSpan.FromMilliseconds(500);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (store is null)
        {
            return;
        }

        await state.WaitUntilOpenAsync(stoppingToken);
        int failures = 0;
        while (true)
        {
            // Nothing is taken from the store while the broker is away: it would only be put back.
            await gate.WaitUntilReadyAsync(stoppingToken);
            try
            {
                // Listening begins before reading, so that a commit between the two is not slept through.
                using CancellationTokenSource listening = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
                Task change = store.WaitForMessagesAsync(LongestWait, listening.Token);
                Dispatched round = await DispatchDueAsync(store, stoppingToken);
                failures = 0;
                await WaitAsync(round, change, listening.Token);

                // In step: nobody but this loop listens, and a task of its own for each round would cost more than it frees.
                listening.Cancel();
            }
            catch (Exception exception) when (exception is not OperationCanceledException || !stoppingToken.IsCancellationRequested)
            {
                failures++;
                metrics.DispatchFailed(service);
                Log.DispatchFailed(logger, exception, service, failures);
                await Task.Delay(backOff.Exponential(failures), time, stoppingToken);
            }
        }
    }

    /// <summary>How long to wait for a commit before the store is asked again.</summary>
    /// <param name="round">What the last look into the outbox has done.</param>
    /// <param name="now">The time after it.</param>
    /// <param name="longest">Longest wait.</param>
    internal static TimeSpan Pause(Dispatched round, DateTimeOffset now, TimeSpan longest)
    {
        TimeSpan untilDue = round.NextDue is { } due ? due - now : longest;
        if (untilDue > TimeSpan.Zero)
        {
            return untilDue < longest ? untilDue : longest;
        }

        // Something is due and nothing was handed out: another instance of the service is publishing it. Asking without a pause would only keep the store from it.
        return round.Count == 0 ? ElsewherePause : TimeSpan.Zero;
    }

    /// <returns>What the last of its looks has done.</returns>
    private async Task<Dispatched> DispatchDueAsync(IEventStore store, CancellationToken cancellationToken)
    {
        Dispatched round;
        do
        {
            round = await store.DispatchAsync(service, options.Value.OutboxBatch, PublishAsync, cancellationToken);
        }
        while (round.Count == options.Value.OutboxBatch);
        return round;
    }

    private async Task PublishAsync(IReadOnlyList<OutboxMessage> messages, CancellationToken cancellationToken)
    {
        await faultPoints.BeforePublishAsync(service, messages, cancellationToken);
        using CancellationTokenSource timeout = new(ConfirmTimeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        await Task.WhenAll(messages.Select(message => DeliverAsync(message, either.Token)));
        foreach (OutboxMessage message in messages)
        {
            metrics.Published(service, message, time.GetUtcNow());
        }
    }

    private async Task DeliverAsync(OutboxMessage message, CancellationToken cancellationToken)
    {
        string reason = "its type is not known to this process";
        if (message.Message is not JsonElement)
        {
            try
            {
                await bus.DeliverAsync(message, cancellationToken).WaitAsync(cancellationToken);
                return;
            }
            catch (Exception exception) when (MessageBus.IsPermanent(exception))
            {
                reason = exception.Message;
            }
        }

        // Whatever stays at the head of the outbox holds up everything behind it, so a message that can never leave is put aside, visibly.
        Log.Undeliverable(logger, service, message.MessageId, message.Alias, reason);
        JsonElement body = JsonSerializer.SerializeToElement(message.Message, types.Json);
        UndeliverableMessage aside = new(message.MessageId, message.Alias, body, message.Destination, reason);
        await bus.DeliverAsync(message with { Message = aside, Destination = $"{service}_outbox_error" }, cancellationToken);
    }

    /// <summary>Waits for a commit or for the next deadline.</summary>
    private async Task WaitAsync(Dispatched round, Task change, CancellationToken cancellationToken)
    {
        DateTimeOffset now = time.GetUtcNow();
        metrics.OutboxLag(service, round.NextDue is { } due && due < now ? now - due : TimeSpan.Zero);
        TimeSpan pause = Pause(round, now, LongestWait);
        if (pause > TimeSpan.Zero)
        {
            await Task.WhenAny(change, Task.Delay(pause, time, cancellationToken));
        }
    }
}

/// <summary>A message of an outbox that can never be published, as it lies in the queue <c>SERVICE_outbox_error</c> for an operator.</summary>
/// <param name="MessageId">Its id.</param>
/// <param name="Alias">Alias of its type.</param>
/// <param name="Body">The message.</param>
/// <param name="Destination">Queue that it was meant for; null: whoever listens.</param>
/// <param name="Reason">Why it cannot be published.</param>
public sealed record UndeliverableMessage(Guid MessageId, string Alias, JsonElement Body, string? Destination, string Reason);
