using SpecMesh.EventStore;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>A real store whose commits and dispatches a test can break.</summary>
internal sealed class FaultyStore(IEventStore inner) : IEventStore
{
    /// <summary>Runs before every commit; what it throws happens instead of the commit.</summary>
    public Action<Commit> BeforeCommit { get; set; } = _ => { };

    /// <summary>Runs before every read of an event stream, with its name; what it throws happens instead of the read.</summary>
    public Action<string> BeforeRead { get; set; } = _ => { };

    /// <summary>Runs after the messages were published and before they are removed; what it throws is a crash between the two.</summary>
    public Action<IReadOnlyList<OutboxMessage>> AfterPublish { get; set; } = _ => { };

    public Task InitializeAsync(CancellationToken cancellationToken) => inner.InitializeAsync(cancellationToken);

    public Task CommitAsync(Commit commit, CancellationToken cancellationToken)
    {
        BeforeCommit(commit);
        return inner.CommitAsync(commit, cancellationToken);
    }

    public Task<IReadOnlyList<StoredEvent>> ReadStreamAsync(string streamId, long afterVersion, int limit, CancellationToken cancellationToken)
    {
        BeforeRead(streamId);
        return inner.ReadStreamAsync(streamId, afterVersion, limit, cancellationToken);
    }

    public Task<EventPage> ReadAllAsync(long afterSequence, int limit, CancellationToken cancellationToken) => inner.ReadAllAsync(afterSequence, limit, cancellationToken);

    public Task<Dispatched> DispatchAsync(string service, int limit, Func<IReadOnlyList<OutboxMessage>, CancellationToken, Task> publish, CancellationToken cancellationToken) =>
        inner.DispatchAsync(
            service,
            limit,
            async (messages, token) =>
            {
                await publish(messages, token);
                AfterPublish(messages);
            },
            cancellationToken);

    public Task<DateTimeOffset?> NextDueAsync(string service, CancellationToken cancellationToken) => inner.NextDueAsync(service, cancellationToken);

    public Task<long> ReadCheckpointAsync(string subscription, CancellationToken cancellationToken) => inner.ReadCheckpointAsync(subscription, cancellationToken);

    public Task WaitForChangeAsync(TimeSpan atMost, CancellationToken cancellationToken) => inner.WaitForChangeAsync(atMost, cancellationToken);

    public Task WaitForMessagesAsync(TimeSpan atMost, CancellationToken cancellationToken) => inner.WaitForMessagesAsync(atMost, cancellationToken);

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}

/// <summary>The database is away, in the terms in which a driver says so.</summary>
internal sealed class DatabaseAwayException() : System.Data.Common.DbException("The database is away.")
{
    public override bool IsTransient => true;
}
