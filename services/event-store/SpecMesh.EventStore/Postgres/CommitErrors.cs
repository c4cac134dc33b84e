using Npgsql;

namespace SpecMesh.EventStore.Postgres;

/// <summary>What the database's errors mean to whoever commits.</summary>
internal static class CommitErrors
{
    /// <summary>The exception to throw in place of a failed batch's; the failed one itself where it says all there is to say.</summary>
    /// <param name="error">What the batch threw.</param>
    /// <param name="rows">What was to be committed.</param>
    /// <param name="appends">The command of each event stream, in the order of <see cref="CommitRows.Streams"/>.</param>
    public static Exception Translate(NpgsqlException error, CommitRows rows, IReadOnlyList<NpgsqlBatchCommand> appends)
    {
        if (error is not PostgresException answer)
        {
            // The connection broke or the answer took too long. The batch was sent whole, so the server may have committed it.
            return new CommitUnknownException(Names(rows), error);
        }

        StreamRows? stream = rows.Streams.Zip(appends).FirstOrDefault(pair => ReferenceEquals(pair.Second, answer.BatchCommand)).First;
        return answer.SqlState switch
        {
            PostgresErrorCodes.UniqueViolation when answer.ConstraintName is "pk_mt_events_stream_and_version" or "pkey_mt_streams_id" => Conflict(stream, rows, error),
            "MT003" => Conflict(stream, rows, error),
            "MT001" => new InvalidOperationException($"{stream?.StreamId} is archived: nothing can be appended to it.", error),
            "SM001" => new ConcurrencyException(rows.Checkpoint!.Subscription, rows.Checkpoint.ExpectedSequence, error),

            // A foreign writer that takes its locks in another order, or works at a stricter isolation level. Nothing was done; loading again cures it.
            PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.SerializationFailure => Conflict(stream, rows, error),

            // The server went down while it worked: it may have committed before.
            PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown or PostgresErrorCodes.CannotConnectNow => new CommitUnknownException(Names(rows), error),
            _ => error,
        };
    }

    public static string Names(CommitRows rows) =>
        rows.Streams.Count > 0 ? string.Join(", ", rows.Streams.Select(stream => stream.StreamId)) : rows.Checkpoint?.Subscription ?? "the outbox";

    private static ConcurrencyException Conflict(StreamRows? stream, CommitRows rows, NpgsqlException error)
    {
        stream ??= rows.Streams.Count > 0 ? rows.Streams[0] : null;
        return stream is not null
            ? new ConcurrencyException(stream.StreamId, stream.ExpectedVersion, error)
            : new ConcurrencyException(Names(rows), rows.Checkpoint?.ExpectedSequence ?? 0, error);
    }
}
