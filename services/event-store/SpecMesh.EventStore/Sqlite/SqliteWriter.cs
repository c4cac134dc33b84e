using Microsoft.Data.Sqlite;

namespace SpecMesh.EventStore.Sqlite;

/// <summary>
/// The one connection that writes. Works that wait while another one is being written share the next transaction, each in a savepoint of its own: a commit costs
/// one wait for the disk, and sharing it is what makes many small commits fast.
/// </summary>
internal sealed class SqliteWriter(string connectionString, SqliteDurability durability) : IAsyncDisposable
{
    private const int MaxWorksPerTransaction = 128;
    private const string Savepoint = "work";

    private readonly Lock gate = new();
    private readonly Queue<Pending> waiting = new();
    private SqliteConnection? connection;
    private Task draining = Task.CompletedTask;
    private bool drains;
    private bool disposed;

    /// <summary>Runs the work in a transaction. It either happens as a whole, durably, before the task completes, or not at all.</summary>
    /// <param name="work">Statements on the given connection. What it throws, the caller gets; other works in the same transaction are not affected.</param>
    /// <param name="cancellationToken">Acts until the work is begun, never after.</param>
    public Task RunAsync(Action<SqliteConnection, SqliteTransaction> work, CancellationToken cancellationToken)
    {
        Pending pending = new(work, cancellationToken);
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            waiting.Enqueue(pending);
            if (!drains)
            {
                drains = true;
                draining = Task.Run(Drain, CancellationToken.None);
            }
        }

        return pending.Done.Task;
    }

    public async ValueTask DisposeAsync()
    {
        Task last;
        lock (gate)
        {
            disposed = true;
            last = draining;
        }

        await last;
        if (connection is not null)
        {
            await connection.DisposeAsync();
        }
    }

    private void Drain()
    {
        List<Pending> works = new(MaxWorksPerTransaction);
        while (true)
        {
            works.Clear();
            lock (gate)
            {
                while (works.Count < MaxWorksPerTransaction && waiting.TryDequeue(out Pending? pending))
                {
                    works.Add(pending);
                }

                if (works.Count == 0)
                {
                    drains = false;
                    return;
                }
            }

            RunTogether(works);
        }
    }

    private void RunTogether(List<Pending> works)
    {
        List<Pending> succeeded = new(works.Count);
        try
        {
            connection ??= Open();
            using SqliteTransaction transaction = connection.BeginTransaction(deferred: false);
            foreach (Pending pending in works)
            {
                if (RunOne(pending, connection, transaction))
                {
                    succeeded.Add(pending);
                }
            }

            transaction.Commit();
        }
        catch (Exception e)
        {
            // The transaction as a whole failed (disk full, locked by another process): none of its works has happened, and each caller is told.
            foreach (Pending pending in works)
            {
                pending.Done.TrySetException(e);
            }

            return;
        }

        foreach (Pending pending in succeeded)
        {
            pending.Done.TrySetResult();
        }
    }

    /// <returns>True when the work is in the transaction; false when its caller has already been told that it is not.</returns>
    private static bool RunOne(Pending pending, SqliteConnection connection, SqliteTransaction transaction)
    {
        if (pending.CancellationToken.IsCancellationRequested)
        {
            pending.Done.TrySetCanceled(pending.CancellationToken);
            return false;
        }

        transaction.Save(Savepoint);
        try
        {
            pending.Work(connection, transaction);
            transaction.Release(Savepoint);
            return true;
        }
        catch (Exception e)
        {
            // Some errors end the whole transaction in SQLite. Then the rollback throws as well, and every other work of the transaction fails with that.
            pending.Done.TrySetException(e);
            transaction.Rollback(Savepoint);
            transaction.Release(Savepoint);
            return false;
        }
    }

    private SqliteConnection Open()
    {
        SqliteConnection opened = new(connectionString);
        try
        {
            opened.Open();
            using SqliteCommand pragmas = opened.CreateCommand();
            pragmas.CommandText = $"pragma busy_timeout = 10000; pragma journal_mode = wal; pragma synchronous = {(durability == SqliteDurability.Full ? "full" : "normal")};";
            pragmas.ExecuteNonQuery();
            return opened;
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }

    private sealed record Pending(Action<SqliteConnection, SqliteTransaction> Work, CancellationToken CancellationToken)
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
