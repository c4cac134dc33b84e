namespace SpecMesh.EventStore.Tests;

/// <summary>What every store must do. Its parts are in the files beside this one; each store's class runs all of them.</summary>
public abstract partial class EventStoreCompliance : IAsyncLifetime
{
    protected const string Service = "service";

    private readonly List<IEventStore> opened = [];

    /// <summary>Ends a test that hangs. Nothing is measured with it.</summary>
    protected CancellationToken Token { get; } = new CancellationTokenSource(TimeSpan.FromMinutes(5)).Token;

    private protected FakeClock Clock { get; } = new();

    protected IEventStore Store { get; private set; } = null!;

    public virtual async Task InitializeAsync()
    {
        Store = await OpenAsync();
    }

    public virtual async Task DisposeAsync()
    {
        foreach (IEventStore store in opened)
        {
            await store.DisposeAsync();
        }
    }

    /// <summary>Creates one more store object on the test's database, as another process would have it.</summary>
    protected abstract IEventStore Create(EventTypes types);

    /// <summary>Makes every insert into the outbox fail.</summary>
    protected abstract Task BreakOutboxAsync();

    /// <summary>Ends <see cref="BreakOutboxAsync"/>.</summary>
    protected abstract Task MendOutboxAsync();

    protected async Task<IEventStore> OpenAsync(EventTypes? types = null)
    {
        IEventStore store = Create(types ?? Records.Types);
        opened.Add(store);
        await store.InitializeAsync(Token);
        return store;
    }

    protected static Commit Append(string streamId, long expectedVersion, params object[] events) =>
        new(Service, [new StreamAppend(streamId, "test", expectedVersion, events)], []);

    protected static OutgoingMessage Message(int value, DateTimeOffset? dueAt = null) =>
        new(new Guid(value, 0, 0, [0, 0, 0, 0, 0, 0, 0, 1]), new Reminder(value), null, dueAt);

    protected static Commit Send(params OutgoingMessage[] messages) => new(Service, [], messages);

    protected async Task<List<StoredEvent>> ReadAllAsync(IEventStore store, int limit = 1000)
    {
        List<StoredEvent> all = [];
        long after = 0;
        while (true)
        {
            EventPage page = await store.ReadAllAsync(after, limit, Token);
            if (page.NextSequence == after)
            {
                return all;
            }

            all.AddRange(page.Events);
            after = page.NextSequence;
        }
    }

    protected async Task<List<int>> DispatchAsync(string service = Service, int limit = 100)
    {
        List<OutboxMessage> published = await DispatchWholeAsync(service, limit);
        return [.. published.Select(message => ((Reminder)message.Message).Value)];
    }

    protected async Task<List<OutboxMessage>> DispatchWholeAsync(string service = Service, int limit = 100)
    {
        List<OutboxMessage> published = [];
        Dispatched done = await Store.DispatchAsync(
            service,
            limit,
            (messages, _) =>
            {
                published.AddRange(messages);
                return Task.CompletedTask;
            },
            Token);
        Assert.Equal(published.Count, done.Count);
        Assert.Equal(await Store.NextDueAsync(service, Token), done.NextDue);
        return published;
    }

    /// <summary>Appends one event after the last one, however often somebody else is faster.</summary>
    protected async Task<int> AppendNextAsync(IEventStore store, string streamId, object data)
    {
        for (int refused = 0; ; refused++)
        {
            IReadOnlyList<StoredEvent> events = await store.ReadStreamAsync(streamId, 0, int.MaxValue, Token);
            try
            {
                await store.CommitAsync(Append(streamId, events.Count, data), Token);
                return refused;
            }
            catch (ConcurrencyException)
            {
                // Somebody else was first: look again, as every caller does.
                continue;
            }
        }
    }
}
