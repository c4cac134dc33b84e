using Npgsql;
using NpgsqlTypes;

namespace SpecMesh.EventStore.Postgres;

/// <summary>A commit as one batch: one round trip, and without an explicit transaction the server runs a batch as a single one.</summary>
internal static class PostgresCommit
{
    /// <exception cref="ConcurrencyException">Something was not where it was expected; nothing was done.</exception>
    /// <exception cref="CommitUnknownException">The answer was lost.</exception>
    public static async Task ExecuteAsync(NpgsqlDataSource source, CommitRows rows, CancellationToken cancellationToken)
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(cancellationToken);
        await using NpgsqlBatch batch = new(connection);
        List<NpgsqlBatchCommand> appends = [.. rows.Streams.Select(stream => AppendEvents(stream, rows))];
        if (appends.Count > 0)
        {
            batch.BatchCommands.Add(HoldStreams(rows));
        }

        foreach (NpgsqlBatchCommand append in appends)
        {
            batch.BatchCommands.Add(append);
        }

        if (rows.Outbox.Count > 0)
        {
            batch.BatchCommands.Add(InsertOutbox(rows));
        }

        if (rows.Checkpoint is { } move)
        {
            batch.BatchCommands.Add(new NpgsqlBatchCommand("select mesh_own.move_checkpoint($1, $2, $3)")
            {
                Parameters = { Value(move.Subscription), Value(move.ExpectedSequence), Value(move.Sequence) },
            });
        }

        // A connection that lies ready in the pool is handed out even to a caller that has given up.
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            // A cancelled commit would be one whose outcome is unknown, so once it is sent, its answer is waited for. The connection's command timeout bounds that.
            await batch.ExecuteNonQueryAsync(CancellationToken.None);
        }
        catch (NpgsqlException e)
        {
            Exception meaning = CommitErrors.Translate(e, rows, appends);
            if (ReferenceEquals(meaning, e))
            {
                throw;
            }

            throw meaning;
        }
    }

    private static NpgsqlBatchCommand HoldStreams(CommitRows rows) => new("select mesh_own.hold_streams($1)")
    {
        Parameters = { Values(NpgsqlDbType.Varchar, rows.Streams.Select(stream => stream.StreamId)) },
    };

    private static NpgsqlBatchCommand AppendEvents(StreamRows stream, CommitRows rows) => new("select mesh_own.append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
    {
        Parameters =
        {
            Text(NpgsqlDbType.Varchar, stream.StreamId),
            Text(NpgsqlDbType.Varchar, stream.StreamType),
            Value(stream.ExpectedVersion),
            Values(NpgsqlDbType.Uuid, stream.Events.Select(row => row.Id)),
            Values(NpgsqlDbType.Varchar, stream.Events.Select(row => row.Alias)),
            Values(NpgsqlDbType.Varchar, stream.Events.Select(row => row.DotNetType)),
            Values(NpgsqlDbType.Jsonb, stream.Events.Select(row => row.Body)),
            Text(NpgsqlDbType.Jsonb, stream.Events[0].Headers),
            Text(NpgsqlDbType.Varchar, rows.CorrelationId),
            Text(NpgsqlDbType.Varchar, rows.CausationId),
            Value(rows.Timestamp),
        },
    };

    private static NpgsqlBatchCommand InsertOutbox(CommitRows rows) =>
        new("""
            insert into mesh_own.outbox (service, message_id, type, body, destination, due_at, created_at, trace_parent)
            select $1, m.message_id, m.type, m.body, m.destination, m.due_at, $7, $8
            from unnest($2, $3, $4, $5, $6) with ordinality as m (message_id, type, body, destination, due_at, position) order by m.position
            """)
        {
            Parameters =
            {
                Value(rows.Service),
                Values(NpgsqlDbType.Uuid, rows.Outbox.Select(row => row.MessageId)),
                Values(NpgsqlDbType.Text, rows.Outbox.Select(row => row.Alias)),
                Values(NpgsqlDbType.Jsonb, rows.Outbox.Select(row => row.Body)),
                Values(NpgsqlDbType.Text, rows.Outbox.Select(row => row.Destination)),
                Values(NpgsqlDbType.TimestampTz, rows.Outbox.Select(row => row.DueAt)),
                Value(rows.Timestamp),
                Text(NpgsqlDbType.Text, rows.TraceParent),
            },
        };

    private static NpgsqlParameter<T> Value<T>(T value) => new() { TypedValue = value };

    private static NpgsqlParameter Text(NpgsqlDbType type, string? value) => new() { NpgsqlDbType = type, Value = (object?)value ?? DBNull.Value };

    private static NpgsqlParameter<T[]> Values<T>(NpgsqlDbType element, IEnumerable<T> values) => new() { NpgsqlDbType = NpgsqlDbType.Array | element, TypedValue = [.. values] };
}
