using SpecMesh.EventStore;
using SpecMesh.Hosting;
using SpecMesh.Protocol.Tests.Engine;
using SpecMesh.Protocol.Tests.Faults;

namespace SpecMesh.Protocol.Tests.Store;

/// <summary>
/// The store as one process reaches it: over the network, which delays, cuts off and loses answers. A commit whose answer is lost has happened or not, and the caller is told
/// only that nobody knows.
/// </summary>
internal sealed class SimulatedConnection(Cluster cluster, Node node, Life life, NodeClock clock) : IEventStore
{
    private FaultSource Faults => cluster.Faults;

    public Task InitializeAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task CommitAsync(Commit commit, CancellationToken cancellationToken)
    {
        if (commit.Appends.Count == 0 && commit.Messages.Count == 0 && commit.Checkpoint is null && (commit.Reads ?? []).Count == 0 && (commit.TakenBack ?? []).Count == 0)
        {
            return;
        }

        if (Faults.Strikes(Fault.CrashBeforeCommit))
        {
            await life.DieAsync();
        }

        await ReachAsync(always: true);
        if (Faults.Strikes(Fault.CommitLost))
        {
            throw Unknown(commit);
        }

        cluster.Store.Commit(commit, clock.GetUtcNow());
        if (Faults.Strikes(Fault.CrashAfterCommit))
        {
            await life.DieAsync();
        }

        if (Faults.Strikes(Fault.CommitAnswerLost) || cluster.Links.IsCut(cluster.StoreNode, node))
        {
            await life.Pause(cluster.Links.Delay());
            throw Unknown(commit);
        }
    }

    public async Task<IReadOnlyList<StoredEvent>> ReadStreamAsync(string streamId, long afterVersion, int limit, CancellationToken cancellationToken)
    {
        await ReachAsync(always: false);
        return cluster.Store.Read(streamId, afterVersion, limit);
    }

    public async Task<EventPage> ReadAllAsync(long afterSequence, int limit, CancellationToken cancellationToken)
    {
        await ReachAsync(always: false);
        return cluster.Store.ReadAll(afterSequence, limit);
    }

    /// <summary>As with PostgreSQL: the rows are locked for as long as the publishing takes, and locked rows are passed over.</summary>
    public async Task<Dispatched> DispatchAsync(string service, int limit, Func<IReadOnlyList<OutboxMessage>, CancellationToken, Task> publish, CancellationToken cancellationToken)
    {
        await ReachAsync(always: false);
        List<OutboxRow> rows = cluster.Store.Take(service, limit, clock.GetUtcNow(), this);
        if (rows.Count == 0)
        {
            return new Dispatched(0, await NextDueAsync(service, cancellationToken));
        }

        try
        {
            await publish([.. rows.Select(Describe)], cancellationToken);
            await ReachAsync(always: true);
            cluster.Store.Remove(service, rows);
            if (Faults.Strikes(Fault.CommitAnswerLost))
            {
                throw new StoreUnavailableException("The answer to the end of a dispatch was lost.");
            }

            return new Dispatched(rows.Count, cluster.Store.NextDue(service, clock.GetUtcNow()));
        }
        finally
        {
            rows.ForEach(row => row.Locker = null);
        }
    }

    public async Task<DateTimeOffset?> NextDueAsync(string service, CancellationToken cancellationToken)
    {
        await ReachAsync(always: false);
        return cluster.Store.NextDue(service, clock.GetUtcNow());
    }

    public async Task<long> ReadCheckpointAsync(string subscription, CancellationToken cancellationToken)
    {
        await ReachAsync(always: false);
        return cluster.Store.Checkpoint(subscription);
    }

    public Task WaitForChangeAsync(TimeSpan atMost, CancellationToken cancellationToken) => cluster.Changes.WaitAsync(atMost, life, cancellationToken);

    public Task WaitForMessagesAsync(TimeSpan atMost, CancellationToken cancellationToken) => cluster.Changes.WaitAsync(atMost, life, cancellationToken);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>The way to the store. Reads mostly find it near; what decides, a commit, is always some time on its way.</summary>
    private async Task ReachAsync(bool always)
    {
        if (Faults.Strikes(Fault.StoreSlow, 0.3))
        {
            await life.Pause(TimeSpan.FromMilliseconds(Faults.RandomOf(Fault.StoreSlow).Uniform(5, 1500)));
        }
        else if (always || cluster.Links.Random.NextInt(4) == 0)
        {
            await life.Pause(TimeSpan.FromMilliseconds(cluster.Links.Random.Uniform(0.1, 3)));
        }

        if (cluster.StoreIsAway || cluster.Links.IsCut(node, cluster.StoreNode) || Faults.Strikes(Fault.StoreError, 0.2))
        {
            await life.Pause(TimeSpan.FromMilliseconds(cluster.Links.Random.Uniform(1, 100)));
            throw new StoreUnavailableException("The simulated store cannot be reached.");
        }
    }

    private static OutboxMessage Describe(OutboxRow row) =>
        new(row.Message.MessageId, row.Message.Message.GetType().Name, row.Message.Message, row.Message.Destination, row.DueAt, null);

    private static CommitUnknownException Unknown(Commit commit) =>
        new(string.Join(", ", commit.Appends.Select(append => append.StreamId)), new StoreUnavailableException("The simulated store did not answer."));
}

/// <summary>Tells every process that listens that something was committed.</summary>
internal sealed class ChangeNews(Scheduler scheduler)
{
    private List<TaskCompletionSource> waiting = [];
    private bool told;

    public Task WaitAsync(TimeSpan atMost, Life life, CancellationToken cancellationToken)
    {
        TaskCompletionSource news = new();
        waiting.Add(news);
        scheduler.After(atMost, life, () => news.TrySetResult());
        if (cancellationToken.CanBeCanceled)
        {
            cancellationToken.Register(() => news.TrySetCanceled(cancellationToken));
        }

        return news.Task;
    }

    /// <summary>A commit was made. Commits that follow at once are told together.</summary>
    public void Tell(TimeSpan delay)
    {
        if (told)
        {
            return;
        }

        told = true;
        scheduler.After(delay, () =>
        {
            told = false;
            List<TaskCompletionSource> all = waiting;
            waiting = [];
            all.ForEach(news => news.TrySetResult());
        });
    }
}
