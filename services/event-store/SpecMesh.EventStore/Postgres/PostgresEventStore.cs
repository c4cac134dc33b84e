using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace SpecMesh.EventStore.Postgres;

/// <summary>The store on a PostgreSQL server, in Marten 9's table layout. Any number of processes may use it at once.</summary>
public sealed class PostgresEventStore : IEventStore
{
    private const string EventColumns = "seq_id, id, stream_id, version, type, data, timestamp, nullif(headers, 'null'::jsonb)";
    private const string Visible = "coalesce(is_archived, true) = false and stream_id <> 'mt_tombstone' and type <> 'tombstone'";

    /// <summary>How often the commits of other processes are looked for. No LISTEN/NOTIFY: it takes one lock for the whole server at each commit.</summary>
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// Every statement finds its rows by an index, so that its first plan is its last one. Without these settings the server plans the statements on the outbox anew at each use, as
    /// soon as its statistics tell of many rows, and a plan that was made while a table was empty reads it from end to end when it is full.
    /// </summary>
    internal const string PlanSettings = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off";

    private readonly NpgsqlDataSource source;
    private readonly EventTypes types;
    private readonly TimeProvider clock;
    private readonly ILogger logger;
    private readonly ChangeSignal changes;
    private readonly ChangeSignal messages;
    private readonly PostgresWriter writer;
    private readonly GapWatch gaps;

    /// <param name="connectionString">Npgsql's connection string.</param>
    /// <param name="types">Records that the store may hold.</param>
    /// <param name="clock">Gives events their timestamps and says what is due.</param>
    /// <param name="logger">Gets what an operator should know; null: nobody does.</param>
    /// <param name="gapPatience">How long a gap in the sequence is looked at before readers pass it, though nobody may fill it any more; null: one second.</param>
    public PostgresEventStore(string connectionString, EventTypes types, TimeProvider clock, ILogger? logger = null, TimeSpan? gapPatience = null)
    {
        NpgsqlConnectionStringBuilder connection = new(connectionString);
        connection.ApplicationName ??= "specmesh";
        if (connection.MaxAutoPrepare == 0)
        {
            connection.MaxAutoPrepare = 40;
            connection.AutoPrepareMinUsages = 2;
        }

        // Nothing here sets what outlives a statement or transaction (settings, temporary tables, session locks), so a connection need not be reset when it changes hands:
        // these are seven statements more for each use of it.
        connection.NoResetOnClose = true;
        connection.Options = $"{connection.Options} {PlanSettings}".TrimStart();
        source = NpgsqlDataSource.Create(connection);
        writer = new PostgresWriter(source, connection);
        this.types = types;
        this.clock = clock;
        this.logger = logger ?? NullLogger.Instance;
        changes = new ChangeSignal(clock, Poll);
        messages = new ChangeSignal(clock, Poll);
        gaps = new GapWatch(source, gapPatience ?? TimeSpan.FromSeconds(1), this.logger);
    }

    /// <inheritdoc/>
    public Task InitializeAsync(CancellationToken cancellationToken) => PostgresSchema.CreateAsync(source, cancellationToken);

    /// <inheritdoc/>
    public async Task CommitAsync(Commit commit, CancellationToken cancellationToken)
    {
        CommitRows rows = CommitRows.From(commit, types, clock);
        if (rows.IsEmpty)
        {
            return;
        }

        try
        {
            await writer.CommitAsync(rows, cancellationToken);
        }
        catch (CommitUnknownException e)
        {
            Log.CommitUnknown(logger, CommitErrors.Names(rows), e);
            throw;
        }

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
    public async Task<IReadOnlyList<StoredEvent>> ReadStreamAsync(string streamId, long afterVersion, int limit, CancellationToken cancellationToken) =>
        await QueryAsync(
            $"select {EventColumns} from mesh.mt_events where stream_id = $1 and version > $2 and {Visible} order by version limit $3",
            ReadEvent,
            cancellationToken,
            streamId,
            afterVersion,
            limit);

    /// <inheritdoc/>
    public async Task<EventPage> ReadAllAsync(long afterSequence, int limit, CancellationToken cancellationToken)
    {
        while (true)
        {
            // Taken before the read, so that the read's snapshot is the later one; GapWatch says why.
            long settled = gaps.Settled;
            List<(long Sequence, StoredEvent? Event)> rows = await QueryAsync(
                $"select {EventColumns}, {Visible} from mesh.mt_events where seq_id > $1 order by seq_id limit $2",
                reader => (reader.GetInt64(0), reader.GetBoolean(8) ? ReadEvent(reader) : null),
                cancellationToken,
                afterSequence,
                limit);
            List<StoredEvent> events = [];
            long next = afterSequence;
            foreach ((long sequence, StoredEvent? stored) in rows)
            {
                if (sequence - 1 > Math.Max(next, settled))
                {
                    break;
                }

                next = sequence;
                if (stored is not null)
                {
                    events.Add(stored);
                }
            }

            if (next > afterSequence || rows.Count == 0 || !await gaps.SettleAsync(afterSequence + 1, rows[0].Sequence, cancellationToken))
            {
                return new EventPage(events, next);
            }
        }
    }

    /// <inheritdoc/>
    public async Task<Dispatched> DispatchAsync(string service, int limit, Func<IReadOnlyList<OutboxMessage>, CancellationToken, Task> publish, CancellationToken cancellationToken)
    {
        (int count, NextDue next) = await PostgresDispatch.RunAsync(source, service, StoredTime.Now(clock), limit, ReadMessage, publish, cancellationToken);
        return new Dispatched(count, next.At(StoredTime.Now(clock)));
    }

    /// <inheritdoc/>
    public async Task<DateTimeOffset?> NextDueAsync(string service, CancellationToken cancellationToken)
    {
        List<NextDue> found = await QueryAsync(NextDue.Query, NextDue.Read, cancellationToken, service);
        return found[0].At(StoredTime.Now(clock));
    }

    /// <inheritdoc/>
    public async Task<long> ReadCheckpointAsync(string subscription, CancellationToken cancellationToken)
    {
        List<long> found = await QueryAsync(
            "select sequence from mesh_own.checkpoints where subscription = $1", reader => reader.GetInt64(0), cancellationToken, subscription);
        return found.Count == 0 ? 0 : found[0];
    }

    /// <inheritdoc/>
    public Task WaitForChangeAsync(TimeSpan atMost, CancellationToken cancellationToken) => changes.WaitAsync(atMost, cancellationToken);

    /// <inheritdoc/>
    public Task WaitForMessagesAsync(TimeSpan atMost, CancellationToken cancellationToken) => messages.WaitAsync(atMost, cancellationToken);

    /// <summary>Closes the connections.</summary>
    public async ValueTask DisposeAsync()
    {
        await writer.DisposeAsync();
        await source.DisposeAsync();
        gaps.Dispose();
    }

    private static NpgsqlCommand Command(string sql, params ReadOnlySpan<object> parameters)
    {
        NpgsqlCommand command = new(sql);
        foreach (object parameter in parameters)
        {
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        }

        return command;
    }

    private static async Task<List<T>> ReadRowsAsync<T>(NpgsqlCommand command, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken)
    {
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync(cancellationToken);
        List<T> rows = [];
        while (await reader.ReadAsync(cancellationToken))
        {
            rows.Add(read(reader));
        }

        return rows;
    }

    private async Task<List<T>> QueryAsync<T>(string sql, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken, params object[] parameters)
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(cancellationToken);
        await using NpgsqlCommand command = Command(sql, parameters);
        command.Connection = connection;
        return await ReadRowsAsync(command, read, cancellationToken);
    }

    private StoredEvent ReadEvent(NpgsqlDataReader reader) => new(
        reader.GetInt64(0),
        reader.GetGuid(1),
        reader.GetString(2),
        reader.GetInt64(3),
        reader.GetString(4),
        reader.GetString(5),
        types,
        reader.GetFieldValue<DateTimeOffset>(6),
        reader.IsDBNull(7) ? null : reader.GetString(7));

    private (long Id, OutboxMessage Message) ReadMessage(NpgsqlDataReader reader)
    {
        string alias = reader.GetString(2);
        return (
            reader.GetInt64(0),
            new OutboxMessage(
                reader.GetGuid(1),
                alias,
                types.Read(alias, reader.GetString(3)),
                reader.IsDBNull(4) ? null : reader.GetString(4),
                reader.GetFieldValue<DateTimeOffset>(5),
                reader.IsDBNull(6) ? null : reader.GetString(6)));
    }
}
