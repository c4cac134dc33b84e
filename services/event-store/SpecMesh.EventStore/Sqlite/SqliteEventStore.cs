using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.Data.Sqlite;

namespace SpecMesh.EventStore.Sqlite;

/// <summary>What a commit that has returned survives.</summary>
public enum SqliteDurability
{
    /// <summary>The process's crash and a power failure (SQLite's <c>synchronous = full</c>).</summary>
    Full,

    /// <summary>The process's crash; a power failure may take the last commits back, but never a part of one (<c>synchronous = normal</c>).</summary>
    Normal,
}

/// <summary>The embedded store: one file, no server, meant for one process.</summary>
/// <remarks>Another process may read the file, or write to it while this one waits; its commits are noticed by polling, and it must not dispatch the same service's messages.</remarks>
public sealed class SqliteEventStore : IEventStore
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);

    private readonly EventTypes types;
    private readonly TimeProvider clock;
    private readonly string path;
    private readonly string readConnectionString;
    private readonly SqliteWriter writer;
    private readonly ChangeSignal changes;
    private readonly ChangeSignal messages;
    private readonly ConcurrentDictionary<string, SemaphoreSlim> dispatchers = new(StringComparer.Ordinal);

    /// <param name="path">The database file; it and its folder are created when missing.</param>
    /// <param name="types">Records that the store may hold.</param>
    /// <param name="clock">Gives events their timestamps and says what is due.</param>
    /// <param name="durability">What a commit survives.</param>
    public SqliteEventStore(string path, EventTypes types, TimeProvider clock, SqliteDurability durability = SqliteDurability.Full)
    {
        this.path = Path.GetFullPath(path);
        this.types = types;
        this.clock = clock;
        changes = new ChangeSignal(clock, Poll);
        messages = new ChangeSignal(clock, Poll);
        SqliteConnectionStringBuilder connection = new() { DataSource = this.path, ForeignKeys = true, DefaultTimeout = 30, Pooling = false };
        writer = new SqliteWriter(connection.ToString(), durability);
        readConnectionString = new SqliteConnectionStringBuilder(connection.ToString()) { Pooling = true, Mode = SqliteOpenMode.ReadWrite }.ToString();
    }

    /// <inheritdoc/>
    public async Task InitializeAsync(CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        await writer.RunAsync(SqliteSchema.CreateIn, cancellationToken);
    }

    /// <inheritdoc/>
    public async Task CommitAsync(Commit commit, CancellationToken cancellationToken)
    {
        CommitRows rows = CommitRows.From(commit, types, clock);
        if (rows.IsEmpty)
        {
            return;
        }

        await writer.RunAsync((connection, transaction) => SqliteCommit.Write(rows, connection, transaction), cancellationToken);
        if (rows.WakesReaders)
        {
            changes.Set();
        }

        if (rows.WakesDispatchers)
        {
            messages.Set();
        }
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<StoredEvent>> ReadStreamAsync(string streamId, long afterVersion, int limit, CancellationToken cancellationToken) =>
        QueryAsync(
            """
            select seq_id, id, stream_id, version, type, data, timestamp, headers from mt_events
            where stream_id = $stream and version > $after and is_archived = 0 order by version limit $limit
            """,
            ReadEvent,
            cancellationToken,
            ("$stream", streamId),
            ("$after", afterVersion),
            ("$limit", limit));

    /// <inheritdoc/>
    public async Task<EventPage> ReadAllAsync(long afterSequence, int limit, CancellationToken cancellationToken)
    {
        // There is one writer at a time, so numbers commit in the order in which they are drawn, and nothing can appear behind a reader.
        IReadOnlyList<(StoredEvent Event, bool Archived)> rows = await QueryAsync(
            """
            select seq_id, id, stream_id, version, type, data, timestamp, headers, is_archived from mt_events
            where seq_id > $after order by seq_id limit $limit
            """,
            reader => (ReadEvent(reader), reader.GetBoolean(8)),
            cancellationToken,
            ("$after", afterSequence),
            ("$limit", limit));
        return new EventPage([.. rows.Where(row => !row.Archived).Select(row => row.Event)], rows.Count == 0 ? afterSequence : rows[^1].Event.Sequence);
    }

    /// <inheritdoc/>
    public async Task<Dispatched> DispatchAsync(string service, int limit, Func<IReadOnlyList<OutboxMessage>, CancellationToken, Task> publish, CancellationToken cancellationToken)
    {
        // No lock of the database is held while publishing: whoever receives the messages in this process appends at the same time.
        // Without a row lock, it is this semaphore that keeps two dispatchers from handing out the same rows.
        SemaphoreSlim single = dispatchers.GetOrAdd(service, static _ => new SemaphoreSlim(1, 1));
        await single.WaitAsync(cancellationToken);
        try
        {
            IReadOnlyList<(long Id, OutboxMessage Message)> rows = await QueryAsync(
                """
                select id, message_id, type, body, destination, coalesce(due_at, created_at), trace_parent from outbox
                where service = $service and (due_at is null or due_at <= $now) order by id limit $limit
                """,
                ReadMessage,
                cancellationToken,
                ("$service", service),
                ("$now", StoredTime.ToText(StoredTime.Now(clock))),
                ("$limit", limit));
            if (rows.Count == 0)
            {
                return new Dispatched(0, await NextDueAsync(service, cancellationToken));
            }

            await publish([.. rows.Select(row => row.Message)], cancellationToken);

            // They have left. That is written down even when the caller has stopped meanwhile, or they would leave twice.
            await writer.RunAsync((connection, transaction) => Delete(rows, connection, transaction), CancellationToken.None);
            return new Dispatched(rows.Count, await NextDueAsync(service, CancellationToken.None));
        }
        finally
        {
            single.Release();
        }
    }

    /// <inheritdoc/>
    public async Task<DateTimeOffset?> NextDueAsync(string service, CancellationToken cancellationToken)
    {
        IReadOnlyList<DateTimeOffset> first = await QueryAsync(
            "select coalesce(due_at, created_at) from outbox where service = $service order by due_at limit 1",
            reader => StoredTime.FromText(reader.GetString(0)),
            cancellationToken,
            ("$service", service));
        return first.Count == 0 ? null : first[0];
    }

    /// <inheritdoc/>
    public async Task<long> ReadCheckpointAsync(string subscription, CancellationToken cancellationToken)
    {
        IReadOnlyList<long> found = await QueryAsync(
            "select sequence from checkpoints where subscription = $name", reader => reader.GetInt64(0), cancellationToken, ("$name", subscription));
        return found.Count == 0 ? 0 : found[0];
    }

    /// <inheritdoc/>
    public Task WaitForChangeAsync(TimeSpan atMost, CancellationToken cancellationToken) => changes.WaitAsync(atMost, cancellationToken);

    /// <inheritdoc/>
    public Task WaitForMessagesAsync(TimeSpan atMost, CancellationToken cancellationToken) => messages.WaitAsync(atMost, cancellationToken);

    /// <summary>Waits for the commits under way and closes the file.</summary>
    public async ValueTask DisposeAsync()
    {
        await writer.DisposeAsync();
        using SqliteConnection pooled = new(readConnectionString);
        SqliteConnection.ClearPool(pooled);
        foreach (SemaphoreSlim single in dispatchers.Values)
        {
            single.Dispose();
        }
    }

    private static void Delete(IReadOnlyList<(long Id, OutboxMessage Message)> rows, SqliteConnection connection, SqliteTransaction transaction)
    {
        using SqliteCommand delete = SqliteCommit.Command(
            connection, transaction, "delete from outbox where id in (select value from json_each($ids))", ("$ids", JsonSerializer.Serialize(rows.Select(row => row.Id))));
        delete.ExecuteNonQuery();
    }

    private async Task<IReadOnlyList<T>> QueryAsync<T>(
        string sql, Func<SqliteDataReader, T> read, CancellationToken cancellationToken, params (string Name, object? Value)[] parameters)
    {
        await using SqliteConnection connection = new(readConnectionString);
        await connection.OpenAsync(cancellationToken);
        await using SqliteCommand command = SqliteCommit.Command(connection, null, sql, parameters);
        await using SqliteDataReader reader = await command.ExecuteReaderAsync(cancellationToken);
        List<T> rows = [];
        while (await reader.ReadAsync(cancellationToken))
        {
            rows.Add(read(reader));
        }

        return rows;
    }

    private StoredEvent ReadEvent(SqliteDataReader reader) => new(
        reader.GetInt64(0),
        Guid.ParseExact(reader.GetString(1), "D"),
        reader.GetString(2),
        reader.GetInt64(3),
        reader.GetString(4),
        reader.GetString(5),
        types,
        StoredTime.FromText(reader.GetString(6)),
        reader.IsDBNull(7) ? null : reader.GetString(7));

    private (long Id, OutboxMessage Message) ReadMessage(SqliteDataReader reader)
    {
        string alias = reader.GetString(2);
        return (
            reader.GetInt64(0),
            new OutboxMessage(
                Guid.ParseExact(reader.GetString(1), "D"),
                alias,
                types.Read(alias, reader.GetString(3)),
                reader.IsDBNull(4) ? null : reader.GetString(4),
                StoredTime.FromText(reader.GetString(5)),
                reader.IsDBNull(6) ? null : reader.GetString(6)));
    }
}
