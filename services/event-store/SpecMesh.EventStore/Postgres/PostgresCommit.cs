using Npgsql;
using NpgsqlTypes;

namespace SpecMesh.EventStore.Postgres;

/// <summary>One commit, or several in one transaction, as one batch: one round trip, and without an explicit transaction the server runs a batch as a single one.</summary>
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
            batch.BatchCommands.Add(HoldStreams(rows.Streams.Select(stream => stream.StreamId).Distinct(StringComparer.Ordinal)));
        }

        // An append finds out about its own event stream before it draws a number; several must, before the first of them does.
        IReadOnlyList<StreamVersion> expected = appends.Count > 1 ? [.. rows.Reads, .. rows.Expected] : rows.Reads;
        if (expected.Count > 0)
        {
            batch.BatchCommands.Add(ExpectVersions(expected));
        }

        Add(batch, appends, [rows]);

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

    /// <summary>All of the commits in one transaction, or none.</summary>
    /// <param name="source">Connections.</param>
    /// <param name="commits">In an order in which each finds what it expects.</param>
    /// <param name="expected">Versions at which the first of them finds every event stream; checked before anything is written.</param>
    /// <exception cref="PostgresException">Nothing was done.</exception>
    /// <exception cref="CommitUnknownException">The answer was lost.</exception>
    public static async Task ExecuteTogetherAsync(NpgsqlDataSource source, IReadOnlyList<CommitRows> commits, IReadOnlyList<StreamVersion> expected)
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(CancellationToken.None);
        await using NpgsqlBatch batch = new(connection);
        string[] streams = [.. commits.SelectMany(rows => rows.Streams).Select(stream => stream.StreamId).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        if (streams.Length > 0)
        {
            batch.BatchCommands.Add(HoldStreams(streams));
        }

        if (expected.Count > 0)
        {
            batch.BatchCommands.Add(ExpectVersions(expected));
        }

        Add(batch, commits.SelectMany(rows => rows.Streams.Select(stream => AppendEvents(stream, rows))), commits);
        try
        {
            await batch.ExecuteNonQueryAsync(CancellationToken.None);
        }
        catch (NpgsqlException e) when (CommitErrors.IsUnknown(e))
        {
            throw new CommitUnknownException(string.Join(", ", commits.Select(CommitErrors.Names)), e);
        }
    }

    private static void Add(NpgsqlBatch batch, IEnumerable<NpgsqlBatchCommand> appends, IReadOnlyList<CommitRows> commits)
    {
        foreach (NpgsqlBatchCommand append in appends)
        {
            batch.BatchCommands.Add(append);
        }

        // Before the new ones: what one commit takes back, the next one in this transaction may need again.
        foreach (IGrouping<string, CommitRows> service in commits.Where(rows => rows.TakenBack.Count > 0).GroupBy(rows => rows.Service, StringComparer.Ordinal))
        {
            batch.BatchCommands.Add(TakeBack(service.Key, service.SelectMany(rows => rows.TakenBack).Distinct(StringComparer.Ordinal)));
        }

        if (commits.Any(rows => rows.Outbox.Count > 0))
        {
            batch.BatchCommands.Add(InsertOutbox(commits));
        }

        foreach (CheckpointMove move in commits.Select(rows => rows.Checkpoint).OfType<CheckpointMove>())
        {
            batch.BatchCommands.Add(new NpgsqlBatchCommand("select mesh_own.move_checkpoint($1, $2, $3)")
            {
                Parameters = { Value(move.Subscription), Value(move.ExpectedSequence), Value(move.Sequence) },
            });
        }
    }

    private static NpgsqlBatchCommand HoldStreams(IEnumerable<string> streams) => new("select mesh_own.hold_streams($1)")
    {
        Parameters = { Values(NpgsqlDbType.Varchar, streams) },
    };

    private static NpgsqlBatchCommand ExpectVersions(IReadOnlyList<StreamVersion> expected) => new("select mesh_own.expect_versions($1, $2)")
    {
        Parameters = { Values(NpgsqlDbType.Varchar, expected.Select(one => one.StreamId)), Values(NpgsqlDbType.Bigint, expected.Select(one => one.Version)) },
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
            Text(NpgsqlDbType.Varchar, stream.CorrelationId),
            Text(NpgsqlDbType.Varchar, stream.CausationId),
            Value(rows.Timestamp),
        },
    };

    /// <summary>Rows that a dispatcher holds are passed over and leave: waiting for them would hold up the commit for as long as publishing takes.</summary>
    private static NpgsqlBatchCommand TakeBack(string service, IEnumerable<string> takenBack) => new(
        "delete from mesh_own.outbox where id in (select id from mesh_own.outbox where service = $1 and about = any ($2) for update skip locked)")
    {
        Parameters = { Text(NpgsqlDbType.Text, service), Values(NpgsqlDbType.Text, takenBack) },
    };

    private static NpgsqlBatchCommand InsertOutbox(IReadOnlyList<CommitRows> commits)
    {
        List<(CommitRows Commit, OutboxRow Row)> all = [.. commits.SelectMany(rows => rows.Outbox.Select(row => (rows, row)))];
        return new("""
            insert into mesh_own.outbox (service, message_id, type, body, destination, due_at, created_at, trace_parent, about)
            select m.service, m.message_id, m.type, m.body, m.destination, m.due_at, m.created_at, m.trace_parent, m.about
            from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) with ordinality as m (service, message_id, type, body, destination, due_at, created_at, trace_parent, about, position)
            order by m.position
            """)
        {
            Parameters =
            {
                Values(NpgsqlDbType.Text, all.Select(one => one.Commit.Service)),
                Values(NpgsqlDbType.Uuid, all.Select(one => one.Row.MessageId)),
                Values(NpgsqlDbType.Text, all.Select(one => one.Row.Alias)),
                Values(NpgsqlDbType.Jsonb, all.Select(one => one.Row.Body)),
                Values(NpgsqlDbType.Text, all.Select(one => one.Row.Destination)),
                Values(NpgsqlDbType.TimestampTz, all.Select(one => one.Row.DueAt)),
                Values(NpgsqlDbType.TimestampTz, all.Select(one => one.Commit.Timestamp)),
                Values(NpgsqlDbType.Text, all.Select(one => one.Row.TraceParent)),
                Values(NpgsqlDbType.Text, all.Select(one => one.Row.About)),
            },
        };
    }

    private static NpgsqlParameter<T> Value<T>(T value) => new() { TypedValue = value };

    private static NpgsqlParameter Text(NpgsqlDbType type, string? value) => new() { NpgsqlDbType = type, Value = (object?)value ?? DBNull.Value };

    private static NpgsqlParameter<T[]> Values<T>(NpgsqlDbType element, IEnumerable<T> values) => new() { NpgsqlDbType = NpgsqlDbType.Array | element, TypedValue = [.. values] };
}
