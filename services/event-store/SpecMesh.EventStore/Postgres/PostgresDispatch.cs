using Npgsql;

namespace SpecMesh.EventStore.Postgres;

/// <summary>
/// One dispatch: rows are locked, handed out, removed. The row locks live as long as its transaction, so publishing is inside it: if the process dies, the rows are free again, and
/// still there. Appends only insert rows and are not held up, however long publishing takes.
/// </summary>
/// <remarks>
/// The transaction is begun and committed by statements of its own batches, which saves two of four round trips, and the second batch asks at once for what is due next. One that is
/// left early is rolled back as its connection is given back.
/// </remarks>
internal static class PostgresDispatch
{
    internal const string Take =
        """
        with due as materialized (
            select id, message_id, type, body, destination, due_at as at, trace_parent from mesh_own.outbox
            where service = $1 and due_at is not null and due_at <= $2 order by due_at limit $3 for update skip locked),
        at_once as materialized (
            select id, message_id, type, body, destination, created_at as at, trace_parent from mesh_own.outbox
            where service = $1 and due_at is null order by id limit $3 - (select count(*) from due) for update skip locked)
        select * from due union all select * from at_once order by id
        """;

    /// <returns>How many messages were published, and what is due next.</returns>
    public static async Task<(int Count, NextDue Next)> RunAsync(
        NpgsqlDataSource source,
        string service,
        DateTimeOffset now,
        int limit,
        Func<NpgsqlDataReader, (long Id, OutboxMessage Message)> read,
        Func<IReadOnlyList<OutboxMessage>, CancellationToken, Task> publish,
        CancellationToken cancellationToken)
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(cancellationToken);
        List<(long Id, OutboxMessage Message)> rows = await TakeAsync(connection, service, now, limit, read, cancellationToken);
        if (rows.Count == 0)
        {
            // Nearly always the look of an idle service. The rows of the transaction are none, so it may as well end here.
            await using NpgsqlBatch nothing = new(connection) { BatchCommands = { new NpgsqlBatchCommand("rollback"), AskNext(service) } };
            return (0, await ReadNextAsync(nothing, cancellationToken));
        }

        await publish([.. rows.Select(row => row.Message)], cancellationToken);

        // They have left. That is written down even when the caller has stopped meanwhile, or they would leave twice. It does not wait for the disk: should the server lose its
        // last moments, they leave again under the same ids, as after any crash between publishing and here.
        await using NpgsqlBatch end = new(connection);
        end.BatchCommands.Add(new NpgsqlBatchCommand("set local synchronous_commit to off"));
        end.BatchCommands.Add(new NpgsqlBatchCommand("delete from mesh_own.outbox where id = any ($1)")
        {
            Parameters = { new NpgsqlParameter<long[]> { TypedValue = [.. rows.Select(row => row.Id)] } },
        });
        end.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
        end.BatchCommands.Add(AskNext(service));
        return (rows.Count, await ReadNextAsync(end, CancellationToken.None));
    }

    private static NpgsqlBatchCommand AskNext(string service) => new(NextDue.Query) { Parameters = { new NpgsqlParameter<string> { TypedValue = service } } };

    private static async Task<NextDue> ReadNextAsync(NpgsqlBatch batch, CancellationToken cancellationToken)
    {
        await using NpgsqlDataReader reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return NextDue.Read(reader);
    }

    private static async Task<List<(long Id, OutboxMessage Message)>> TakeAsync(
        NpgsqlConnection connection, string service, DateTimeOffset now, int limit, Func<NpgsqlDataReader, (long Id, OutboxMessage Message)> read, CancellationToken cancellationToken)
    {
        await using NpgsqlBatch begin = new(connection);
        begin.BatchCommands.Add(new NpgsqlBatchCommand("begin"));
        begin.BatchCommands.Add(new NpgsqlBatchCommand(Take)
        {
            Parameters =
            {
                new NpgsqlParameter<string> { TypedValue = service },
                new NpgsqlParameter<DateTimeOffset> { TypedValue = now },
                new NpgsqlParameter<int> { TypedValue = limit },
            },
        });
        await using NpgsqlDataReader reader = await begin.ExecuteReaderAsync(cancellationToken);
        List<(long Id, OutboxMessage Message)> rows = [];
        while (await reader.ReadAsync(cancellationToken))
        {
            rows.Add(read(reader));
        }

        return rows;
    }
}

/// <summary>The first of a service's messages that leave at once, and the first of its deadlines.</summary>
/// <param name="AtOnce">When the first message was committed; null when none waits.</param>
/// <param name="Due">When the first deadline is due; null when there is none.</param>
internal readonly record struct NextDue(DateTimeOffset? AtOnce, DateTimeOffset? Due)
{
    public const string Query =
        """
        select (select created_at from mesh_own.outbox where service = $1 and due_at is null order by id limit 1),
               (select due_at from mesh_own.outbox where service = $1 and due_at is not null order by due_at limit 1)
        """;

    public static NextDue Read(NpgsqlDataReader reader) => new(reader.GetFieldValue<DateTimeOffset?>(0), reader.GetFieldValue<DateTimeOffset?>(1));

    /// <summary>When the next message is due. What leaves at once is due now, even if it was committed by a process whose clock is ahead of this one's.</summary>
    public DateTimeOffset? At(DateTimeOffset now) => AtOnce is { } at ? (at < now ? at : now) : Due;
}
