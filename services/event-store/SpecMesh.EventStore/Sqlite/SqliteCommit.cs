using Microsoft.Data.Sqlite;

namespace SpecMesh.EventStore.Sqlite;

/// <summary>The statements of one commit.</summary>
internal static class SqliteCommit
{
    public static void Write(CommitRows rows, SqliteConnection connection, SqliteTransaction transaction)
    {
        foreach (StreamVersion read in rows.Reads)
        {
            Expect(read, connection, transaction);
        }

        foreach (StreamRows stream in rows.Streams)
        {
            MoveStream(stream, rows, connection, transaction);
            InsertEvents(stream, rows, connection, transaction);
        }

        TakeBack(rows, connection, transaction);
        InsertOutbox(rows, connection, transaction);
        if (rows.Checkpoint is { } move)
        {
            MoveCheckpoint(move, connection, transaction);
        }
    }

    public static SqliteCommand Command(SqliteConnection connection, SqliteTransaction? transaction, string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        SqliteCommand command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = sql;
        foreach ((string name, object? value) in parameters)
        {
            command.Parameters.AddWithValue(name, value ?? DBNull.Value);
        }

        return command;
    }

    private static void Expect(StreamVersion read, SqliteConnection connection, SqliteTransaction transaction)
    {
        using SqliteCommand version = Command(connection, transaction, "select version from mt_streams where id = $id", ("$id", read.StreamId));
        if ((version.ExecuteScalar() as long? ?? 0) != read.Version)
        {
            throw new ConcurrencyException(read.StreamId, read.Version);
        }
    }

    private static void MoveStream(StreamRows stream, CommitRows rows, SqliteConnection connection, SqliteTransaction transaction)
    {
        const string insert =
            "insert into mt_streams (id, type, version, timestamp, created) values ($id, $type, $new, $now, $now) on conflict (id) do nothing";
        const string update =
            "update mt_streams set version = $new, timestamp = $now where id = $id and version = $expected and is_archived = 0";
        using SqliteCommand move = Command(
            connection,
            transaction,
            stream.ExpectedVersion == 0 ? insert : update,
            ("$id", stream.StreamId),
            ("$type", stream.StreamType),
            ("$expected", stream.ExpectedVersion),
            ("$new", stream.NewVersion),
            ("$now", StoredTime.ToText(rows.Timestamp)));
        if (move.ExecuteNonQuery() == 1)
        {
            return;
        }

        using SqliteCommand archived = Command(connection, transaction, "select is_archived from mt_streams where id = $id", ("$id", stream.StreamId));
        throw archived.ExecuteScalar() is 1L
            ? new InvalidOperationException($"{stream.StreamId} is archived: nothing can be appended to it.")
            : new ConcurrencyException(stream.StreamId, stream.ExpectedVersion);
    }

    private static void InsertEvents(StreamRows stream, CommitRows rows, SqliteConnection connection, SqliteTransaction transaction)
    {
        using SqliteCommand insert = Command(
            connection,
            transaction,
            """
            insert into mt_events (id, stream_id, version, data, type, timestamp, mt_dotnet_type, correlation_id, causation_id, headers)
            values ($id, $stream, $version, $data, $type, $now, $dotnet, $correlation, $causation, $headers)
            """,
            ("$stream", stream.StreamId),
            ("$now", StoredTime.ToText(rows.Timestamp)),
            ("$correlation", stream.CorrelationId),
            ("$causation", stream.CausationId));
        int fixedParameters = insert.Parameters.Count;
        foreach (EventRow row in stream.Events)
        {
            while (insert.Parameters.Count > fixedParameters)
            {
                insert.Parameters.RemoveAt(fixedParameters);
            }

            insert.Parameters.AddWithValue("$id", row.Id.ToString("D"));
            insert.Parameters.AddWithValue("$version", row.Version);
            insert.Parameters.AddWithValue("$data", row.Body);
            insert.Parameters.AddWithValue("$type", row.Alias);
            insert.Parameters.AddWithValue("$dotnet", row.DotNetType);
            insert.Parameters.AddWithValue("$headers", (object?)row.Headers ?? DBNull.Value);
            insert.ExecuteNonQuery();
        }
    }

    private static void TakeBack(CommitRows rows, SqliteConnection connection, SqliteTransaction transaction)
    {
        foreach (string about in rows.TakenBack)
        {
            using SqliteCommand delete = Command(
                connection, transaction, "delete from outbox where service = $service and about = $about", ("$service", rows.Service), ("$about", about));
            delete.ExecuteNonQuery();
        }
    }

    private static void InsertOutbox(CommitRows rows, SqliteConnection connection, SqliteTransaction transaction)
    {
        foreach (OutboxRow row in rows.Outbox)
        {
            using SqliteCommand insert = Command(
                connection,
                transaction,
                """
                insert into outbox (service, message_id, type, body, destination, due_at, created_at, trace_parent, about)
                values ($service, $message, $type, $body, $destination, $due, $now, $trace, $about)
                """,
                ("$service", rows.Service),
                ("$message", row.MessageId.ToString("D")),
                ("$type", row.Alias),
                ("$body", row.Body),
                ("$destination", row.Destination),
                ("$due", row.DueAt is { } due ? StoredTime.ToText(due) : null),
                ("$now", StoredTime.ToText(rows.Timestamp)),
                ("$trace", row.TraceParent),
                ("$about", row.About));
            insert.ExecuteNonQuery();
        }
    }

    private static void MoveCheckpoint(CheckpointMove move, SqliteConnection connection, SqliteTransaction transaction)
    {
        using SqliteCommand command = Command(
            connection,
            transaction,
            move.ExpectedSequence == 0
                ? "insert into checkpoints (subscription, sequence) values ($name, $sequence) on conflict (subscription) do update set sequence = $sequence where sequence = 0"
                : "update checkpoints set sequence = $sequence where subscription = $name and sequence = $expected",
            ("$name", move.Subscription),
            ("$expected", move.ExpectedSequence),
            ("$sequence", move.Sequence));
        if (command.ExecuteNonQuery() != 1)
        {
            throw new ConcurrencyException(move.Subscription, move.ExpectedSequence);
        }
    }
}
