using Npgsql;

namespace SpecMesh.EventStore.Postgres;

/// <summary>
/// Commits that wait while another one is on its way share the next transaction: each transaction costs a wait for the disk, a round trip and a snapshot, and sharing them is what
/// makes many small commits cheap. None waits for company: without another one on its way, a commit leaves at once.
/// </summary>
/// <remarks>
/// A commit is never decided by its company. One that cannot succeed beside the others is told so, and the others go on without it; and when a transaction fails for another
/// reason, each of its commits is tried alone. A foreign writer that holds an event stream holds up those who want that one: a shared transaction waits for locks for
/// <see cref="LockPatience"/> at most, then its commits go on alone, without holding up those behind them.
/// </remarks>
internal sealed class PostgresWriter : IAsyncDisposable
{
    /// <summary>Longest wait of a shared transaction for a lock.</summary>
    public static readonly TimeSpan LockPatience = TimeSpan.FromMilliseconds(250);

    private const int MostCommits = 64;

    private readonly NpgsqlDataSource patient;
    private readonly NpgsqlDataSource hasty;
    private readonly Queue<Pending> waiting = new();
    private readonly Lock gate = new();
    private bool drains;

    /// <param name="source">Connections that wait for locks as long as a command may take.</param>
    /// <param name="connection">How they are made.</param>
    public PostgresWriter(NpgsqlDataSource source, NpgsqlConnectionStringBuilder connection)
    {
        patient = source;
        hasty = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(connection.ToString())
        {
            Options = $"{connection.Options} -c lock_timeout={LockPatience.TotalMilliseconds:0}".TrimStart(),
            MaxPoolSize = 2,
        });
    }

    /// <summary>Returns when the commit is durable.</summary>
    /// <exception cref="ConcurrencyException">Something was not where it was expected; nothing was done.</exception>
    /// <exception cref="CommitUnknownException">The answer was lost.</exception>
    public Task CommitAsync(CommitRows rows, CancellationToken cancellationToken)
    {
        Pending pending = new(rows, cancellationToken);
        lock (gate)
        {
            waiting.Enqueue(pending);
            if (!drains)
            {
                drains = true;

                // Whoever comes first must not lend its trace to all that follow.
                using (ExecutionContext.SuppressFlow())
                {
                    _ = Task.Run(DrainAsync, CancellationToken.None);
                }
            }
        }

        return pending.Done.Task;
    }

    public ValueTask DisposeAsync() => hasty.DisposeAsync();

    private async Task DrainAsync()
    {
        while (Take() is { Count: > 0 } commits)
        {
            await (commits.Count == 1 ? RunAsync(commits[0]) : RunTogetherAsync(commits));
        }
    }

    /// <summary>What waits, in its order; nothing when nobody does, and then the next one begins to drain again.</summary>
    private List<Pending> Take()
    {
        List<Pending> taken = [];
        lock (gate)
        {
            while (taken.Count < MostCommits && waiting.TryDequeue(out Pending? pending))
            {
                if (pending.CancellationToken.IsCancellationRequested)
                {
                    pending.Done.TrySetCanceled(pending.CancellationToken);
                }
                else
                {
                    taken.Add(pending);
                }
            }

            drains = taken.Count > 0;
        }

        return taken;
    }

    private async Task RunAsync(Pending pending)
    {
        try
        {
            await PostgresCommit.ExecuteAsync(hasty, pending.Rows, pending.CancellationToken);
            pending.End(null);
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.LockNotAvailable)
        {
            _ = RunAloneAsync(pending);
        }
        catch (Exception e)
        {
            pending.End(e);
        }
    }

    private async Task RunTogetherAsync(List<Pending> commits)
    {
        while (commits.Count > 0)
        {
            SharedTransaction shared = new(commits.Select(pending => pending.Rows));
            try
            {
                await PostgresCommit.ExecuteTogetherAsync(hasty, shared.Commits, shared.Expected);
                foreach (Pending pending in commits)
                {
                    pending.End(shared.ConflictOf(pending.Rows));
                }

                return;
            }
            catch (PostgresException e) when (CommitErrors.Moved(e) is { Count: > 0 } moved)
            {
                // Those who want what somebody else has moved have lost. The others lose nothing, and go without them.
                commits = [.. commits.Where(pending => !pending.LosesFor(moved, e))];
            }
            catch (PostgresException)
            {
                // One of them cannot succeed, or waits for a lock. Nothing was done.
                commits.ForEach(pending => _ = RunAloneAsync(pending));
                return;
            }
            catch (Exception e)
            {
                // The database cannot be reached, or has not answered.
                commits.ForEach(pending => pending.End(e));
                return;
            }
        }
    }

    /// <summary>Beside the queue, and waiting for locks as long as it takes.</summary>
    private async Task RunAloneAsync(Pending pending)
    {
        try
        {
            await PostgresCommit.ExecuteAsync(patient, pending.Rows, pending.CancellationToken);
            pending.End(null);
        }
        catch (Exception e)
        {
            pending.End(e);
        }
    }

    private sealed record Pending(CommitRows Rows, CancellationToken CancellationToken)
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Tells the caller.</summary>
        public void End(Exception? error)
        {
            if (error is null)
            {
                Done.TrySetResult();
            }
            else
            {
                Done.TrySetException(error);
            }
        }

        /// <summary>True when the commit depends on one of these event streams; its caller has been told then.</summary>
        public bool LosesFor(IReadOnlyList<string> moved, PostgresException error)
        {
            string? lost = Rows.Streams.Select(stream => stream.StreamId).Concat(Rows.Reads.Select(read => read.StreamId)).FirstOrDefault(moved.Contains);
            if (lost is not null)
            {
                End(CommitErrors.ConflictOn(lost, Rows, error));
            }

            return lost is not null;
        }
    }
}
