using System.Collections.Concurrent;

namespace SpecMesh.EventStore.Tests;

public abstract partial class EventStoreCompliance
{
    [StoreFact]
    public async Task all_events_are_read_in_pages_in_the_order_of_their_sequence()
    {
        for (int i = 0; i < 5; i++)
        {
            await Store.CommitAsync(Append($"s{i % 2}", i / 2, new Counted(i)), Token);
        }

        List<StoredEvent> all = await ReadAllAsync(Store, limit: 2);

        Assert.Equal([0, 1, 2, 3, 4], all.Select(stored => ((Counted)stored.Data).Value));
        Assert.Equal(all.OrderBy(stored => stored.Sequence), all);
        EventPage nothing = await Store.ReadAllAsync(all[^1].Sequence, 10, Token);
        Assert.Empty(nothing.Events);
        Assert.Equal(all[^1].Sequence, nothing.NextSequence);
    }

    [StoreFact]
    public async Task a_subscription_from_the_start_sees_every_event_once_in_order_while_many_append()
    {
        const int writers = 8, each = 15;
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        List<StoredEvent> seen = [];
        TaskCompletionSource complete = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Subscription subscription = Subscription.FromStart(Store, stored =>
        {
            seen.Add(stored);
            if (seen.Count == writers * each)
            {
                complete.SetResult();
            }
        });
        Task running = subscription.RunAsync(stop.Token);
        IEventStore other = await OpenAsync();

        await Task.WhenAll(Enumerable.Range(0, writers).Select(writer => Task.Run(async () =>
        {
            for (int i = 0; i < each; i++)
            {
                // Half of the writers meet on shared event streams, so that some appends are refused in between.
                string stream = writer % 2 == 0 ? $"own-{writer}" : $"shared-{i % 2}";
                await AppendNextAsync(writer < 4 ? Store : other, stream, new Counted((writer * each) + i));
            }
        })));
        await complete.Task.WaitAsync(Token);
        await stop.CancelAsync();
        await running;

        Assert.Equal(Enumerable.Range(0, writers * each), seen.Select(stored => ((Counted)stored.Data).Value).Order());
        Assert.Equal(seen.OrderBy(stored => stored.Sequence), seen);
    }

    [StoreFact]
    public async Task what_a_subscription_appends_is_committed_once_with_its_checkpoint()
    {
        const int events = 12;
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        IEventStore other = await OpenAsync();

        // Two instances of the same subscription: each event's effect must be there once all the same.
        Task[] running = [RunAsync(Store), RunAsync(other)];
        for (int i = 0; i < events; i++)
        {
            await Store.CommitAsync(Append($"source-{i}", 0, new Counted(i)), Token);
        }

        Task change;
        do
        {
            change = Store.WaitForChangeAsync(TimeSpan.FromMilliseconds(50), Token);
            if ((await Store.ReadStreamAsync("echo", 0, 100, Token)).Count >= events)
            {
                break;
            }

            await change;
        }
        while (true);
        await stop.CancelAsync();
        await Task.WhenAll(running);

        IReadOnlyList<StoredEvent> echo = await Store.ReadStreamAsync("echo", 0, 100, Token);
        Assert.Equal(Enumerable.Range(0, events), echo.Select(stored => ((Reminder)stored.Data).Value));
        Assert.Equal(Enumerable.Range(0, events), await DispatchAsync());

        Task RunAsync(IEventStore store) => Subscription.Checkpointed(store, Records.Types, Service, "echo", EchoAsync).RunAsync(stop.Token);
    }

    [StoreFact]
    public async Task a_subscription_that_stops_half_way_goes_on_where_it_stood()
    {
        for (int i = 0; i < 6; i++)
        {
            await Store.CommitAsync(Append($"source-{i}", 0, new Counted(i)), Token);
        }

        ConcurrentQueue<int> handled = new();
        Subscription broken = Subscription.Checkpointed(Store, Records.Types, Service, "echo", (stored, work, token) =>
            stored.Data is Counted { Value: 3 } ? throw new IOException("the process dies here") : EchoAsync(stored, work, token));
        await Assert.ThrowsAsync<IOException>(() => broken.CatchUpAsync(Token));
        long stood = await Store.ReadCheckpointAsync("echo", Token);
        Assert.Equal(broken.Position, stood);

        Subscription again = Subscription.Checkpointed(Store, Records.Types, Service, "echo", (stored, work, token) =>
        {
            handled.Enqueue((stored.Data as Counted)?.Value ?? -1);
            return EchoAsync(stored, work, token);
        });
        await again.CatchUpAsync(Token);

        Assert.Equal([3, 4, 5], handled.Where(value => value >= 0));
        Assert.Equal([0, 1, 2, 3, 4, 5], (await Store.ReadStreamAsync("echo", 0, 100, Token)).Select(stored => ((Reminder)stored.Data).Value));
        Assert.Equal((await ReadAllAsync(Store))[^1].Sequence, await Store.ReadCheckpointAsync("echo", Token));
    }

    [StoreFact]
    public async Task a_handler_whose_decision_is_outdated_decides_again()
    {
        await Store.CommitAsync(Append("source", 0, new Counted(1)), Token);
        int calls = 0;
        Subscription subscription = Subscription.Checkpointed(Store, Records.Types, Service, "echo", async (stored, work, token) =>
        {
            await EchoAsync(stored, work, token);
            if (stored.StreamId == "source" && ++calls == 1)
            {
                await Store.CommitAsync(Append("echo", 0, new Reminder(-1)), token);
            }
        });

        await subscription.CatchUpAsync(Token);

        Assert.Equal(2, calls);
        Assert.Equal([-1, 1], (await Store.ReadStreamAsync("echo", 0, 100, Token)).Select(stored => ((Reminder)stored.Data).Value));
    }

    [StoreFact]
    public async Task a_checkpoint_moves_only_from_where_it_was_expected()
    {
        await Store.CommitAsync(new Commit(Service, [], [], new CheckpointMove("s", 0, 5)), Token);
        ConcurrencyException refused = await Assert.ThrowsAsync<ConcurrencyException>(
            () => Store.CommitAsync(Append("a", 0, new Counted(1)) with { Checkpoint = new CheckpointMove("s", 0, 6) }, Token));
        Assert.Equal("s", refused.StreamId);
        await Assert.ThrowsAsync<ConcurrencyException>(() => Store.CommitAsync(new Commit(Service, [], [], new CheckpointMove("s", 4, 6)), Token));
        await Assert.ThrowsAsync<ConcurrencyException>(() => Store.CommitAsync(new Commit(Service, [], [], new CheckpointMove("unknown", 4, 6)), Token));

        Assert.Equal(5, await Store.ReadCheckpointAsync("s", Token));
        Assert.Empty(await ReadAllAsync(Store));
        await Store.CommitAsync(new Commit(Service, [], [], new CheckpointMove("s", 5, 6)), Token);
        Assert.Equal(6, await Store.ReadCheckpointAsync("s", Token));
        Assert.Equal(0, await Store.ReadCheckpointAsync("unknown", Token));
    }

    [StoreFact]
    public async Task a_commit_wakes_whoever_listened_before_it()
    {
        Task change = Store.WaitForChangeAsync(TimeSpan.FromHours(1), Token);
        await Store.CommitAsync(Append("a", 0, new Counted(1)), Token);
        await change;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Store.WaitForChangeAsync(TimeSpan.FromHours(1), new CancellationToken(canceled: true)));
    }

    /// <summary>Appends and sends one reminder for each counted event.</summary>
    protected static async Task EchoAsync(StoredEvent stored, UnitOfWork work, CancellationToken token)
    {
        if (stored.Data is Counted counted)
        {
            await work.LoadAsync("echo", 0, (count, _) => count + 1, token);
            work.Append("echo", "test", [new Reminder(counted.Value)]);
            work.Send(new Reminder(counted.Value));
        }
    }
}
