using System.Text.Json;
using Npgsql;

namespace SpecMesh.EventStore.Postgres;

/// <summary>What the database's errors mean to whoever commits.</summary>
internal static class CommitErrors
{
    private const string VersionMoved = "MT003";

    /// <summary>The exception to throw in place of a failed batch's; the failed one itself where it says all there is to say.</summary>
    /// <param name="error">What the batch threw.</param>
    /// <param name="rows">What was to be committed.</param>
    /// <param name="appends">The command of each event stream, in the order of <see cref="CommitRows.Streams"/>.</param>
    public static Exception Translate(NpgsqlException error, CommitRows rows, IReadOnlyList<NpgsqlBatchCommand> appends)
    {
        if (IsUnknown(error) || error is not PostgresException answer)
        {
            return new CommitUnknownException(Names(rows), error);
        }

        StreamRows? stream = rows.Streams.Zip(appends).FirstOrDefault(pair => ReferenceEquals(pair.Second, answer.BatchCommand)).First;
        return answer.SqlState switch
        {
            PostgresErrorCodes.UniqueViolation when answer.ConstraintName is "pk_mt_events_stream_and_version" or "pkey_mt_streams_id" => Conflict(stream, rows, error),
            VersionMoved => Moved(answer) is [var moved, ..] ? ConflictOn(moved, rows, error) : Conflict(stream, rows, error),
            "MT001" => new InvalidOperationException($"{stream?.StreamId} is archived: nothing can be appended to it.", error),
            "SM001" => new ConcurrencyException(rows.Checkpoint!.Subscription, rows.Checkpoint.ExpectedSequence, error),

            // A foreign writer that takes its locks in another order, or works at a stricter isolation level. Nothing was done; loading again cures it.
            PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.SerializationFailure => Conflict(stream, rows, error),
            _ => error,
        };
    }

    /// <summary>True when the batch may have been committed.</summary>
    public static bool IsUnknown(NpgsqlException error) => error is not PostgresException answer

        // The connection broke or the answer took too long. The batch was sent whole, so the server may have committed it.
        || answer.SqlState

            // The server went down while it worked: it may have committed before.
            is PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown or PostgresErrorCodes.CannotConnectNow;

    /// <summary>The event streams that <c>expect_versions</c> found moved; empty for any other error.</summary>
    public static IReadOnlyList<string> Moved(PostgresException error) =>
        error is { SqlState: VersionMoved, Hint: { } hint } ? JsonSerializer.Deserialize<string[]>(hint) ?? [] : [];

    /// <summary>What a commit is about, for messages.</summary>
    public static string Names(CommitRows rows) =>
        rows.Streams.Count > 0 ? string.Join(", ", rows.Streams.Select(stream => stream.StreamId)) : rows.Checkpoint?.Subscription ?? "the outbox";

    /// <summary>The commit lost its race for this event stream, which it appends to or has read.</summary>
    public static ConcurrencyException ConflictOn(string streamId, CommitRows rows, Exception? error)
    {
        long expected = rows.Streams.FirstOrDefault(stream => stream.StreamId == streamId)?.ExpectedVersion
            ?? rows.Reads.FirstOrDefault(read => read.StreamId == streamId)?.Version
            ?? 0;
        return new ConcurrencyException(streamId, expected, error);
    }

    private static ConcurrencyException Conflict(StreamRows? stream, CommitRows rows, NpgsqlException error)
    {
        stream ??= rows.Streams.Count > 0 ? rows.Streams[0] : null;
        return stream is not null
            ? new ConcurrencyException(stream.StreamId, stream.ExpectedVersion, error)
            : new ConcurrencyException(Names(rows), rows.Checkpoint?.ExpectedSequence ?? 0, error);
    }
}
