using System.Collections.Concurrent;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>
/// Lets the handlers of one queue through to what they share one at a time, each seeing what those before it decided, and commits what came together in one transaction.
/// Without it, handlers that want the same event streams lose the race for them against each other, and each attempt costs a transaction.
/// </summary>
internal sealed class Turns(string queue)
{
    private const int MostTogether = 64;

    private readonly Queue<Turn> waiting = new();
    private readonly Lock gate = new();
    private bool runs;
    private int alone;

    /// <summary>Runs a handler that asks for its turn with <see cref="HandlerContext.TakeTurnAsync"/>, or never. Returns when its work is durable.</summary>
    public async Task RunAsync(HandlerContext context, Func<HandlerContext, CancellationToken, Task> handler, CancellationToken cancellationToken)
    {
        Turn? turn = null;
        context.OnTakeTurn = token => Enter(turn ??= new Turn(context.Work)).WaitAsync(token);
        try
        {
            await handler(context, cancellationToken);
        }
        catch when (turn is not null)
        {
            turn.Left.TrySetResult(false);
            throw;
        }

        if (turn is null)
        {
            await context.Work.CommitAsync(checkpoint: null, cancellationToken);
            return;
        }

        turn.Left.TrySetResult(true);
        await turn.Committed.Task;
    }

    private Task Enter(Turn turn)
    {
        lock (gate)
        {
            if (turn.HasEntered)
            {
                return turn.Granted.Task;
            }

            turn.HasEntered = true;
            waiting.Enqueue(turn);
            if (!runs)
            {
                runs = true;

                // Whoever comes first must not lend its trace to all that follow.
                using (ExecutionContext.SuppressFlow())
                {
                    _ = LetThroughAsync();
                }
            }
        }

        return turn.Granted.Task;
    }

    private async Task LetThroughAsync()
    {
        await Task.Yield();
        while (true)
        {
            CommonCommit commit = new();
            List<Turn> taken = [];
            while (Next(taken.Count) is { } turn)
            {
                commit.Admit(turn.Work);
                turn.Granted.TrySetResult();
                if (await turn.Left.Task && turn.TryJoin(commit))
                {
                    taken.Add(turn);
                }
            }

            if (taken.Count > 0)
            {
                await CommitAsync(commit, taken);
            }
            else if (HasEnded())
            {
                return;
            }
        }
    }

    /// <summary>Whose turn it is next before the commit; null when nobody waits, or enough have come together.</summary>
    private Turn? Next(int together)
    {
        lock (gate)
        {
            return together < (alone > 0 ? 1 : MostTogether) && waiting.TryDequeue(out Turn? turn) ? turn : null;
        }
    }

    private bool HasEnded()
    {
        lock (gate)
        {
            runs = waiting.Count > 0;
            return !runs;
        }
    }

    private async Task CommitAsync(CommonCommit commit, List<Turn> taken)
    {
        alone = Math.Max(0, alone - 1);
        Exception? failure = null;
        try
        {
            await commit.CommitAsync(CancellationToken.None);
        }
        catch (Exception exception) when (taken.Count > 1 && exception is not ConcurrencyException && !StoreOutage.Is(exception))
        {
            // One of them can never be committed. Each is tried again, by itself, and only that one gets this exception.
            alone = taken.Count;
            failure = new ConcurrencyException(queue, 0, exception);
        }
        catch (Exception exception)
        {
            failure = exception;
        }

        foreach (Turn turn in taken)
        {
            turn.End(failure);
        }
    }

    private sealed class Turn(UnitOfWork work)
    {
        public UnitOfWork Work { get; } = work;

        public bool HasEntered { get; set; }

        /// <summary>Completes when it is this handler's turn.</summary>
        public TaskCompletionSource Granted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Completes when the handler has returned; true when it left work to commit.</summary>
        public TaskCompletionSource<bool> Left { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Completes when the work is durable.</summary>
        public TaskCompletionSource Committed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>False when the work was decided on something that an earlier one has moved; its handler is told then.</summary>
        public bool TryJoin(CommonCommit commit)
        {
            try
            {
                commit.Take(Work);
                return true;
            }
            catch (ConcurrencyException exception)
            {
                End(exception);
                return false;
            }
        }

        public void End(Exception? failure)
        {
            if (failure is null)
            {
                Committed.TrySetResult();
            }
            else
            {
                Committed.TrySetException(failure);
            }
        }
    }
}

/// <summary>The turns of this process's queues.</summary>
internal sealed class QueueTurns
{
    private readonly ConcurrentDictionary<string, Turns> turns = new(StringComparer.Ordinal);

    public Turns Of(string queue) => turns.GetOrAdd(queue, name => new Turns(name));
}
