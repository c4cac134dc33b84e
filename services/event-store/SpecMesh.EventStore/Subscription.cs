namespace SpecMesh.EventStore;

/// <summary>
/// Follows all events in order. A checkpointed one resumes where it stood, and what it appends and sends for an event is committed together with its progress, so that both
/// happen once. One from the start keeps no progress and feeds a view in memory.
/// </summary>
public sealed class Subscription
{
    private const int PageSize = 500;

    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(5);

    private readonly IEventStore store;
    private readonly Func<long, CancellationToken, Task<long>> advance;
    private readonly Func<CancellationToken, Task>? rest;
    private readonly string? checkpoint;
    private long position;

    private Subscription(
        IEventStore store, string? checkpoint, Func<Subscription, long, CancellationToken, Task<long>> advance, Func<CancellationToken, Task>? rest = null)
    {
        this.store = store;
        this.checkpoint = checkpoint;
        this.rest = rest;
        this.advance = (after, token) => advance(this, after, token);
    }

    /// <summary>Sequence number up to which every event has been handled by this object; 0 before the first.</summary>
    public long Position => Volatile.Read(ref position);

    /// <summary>A subscription that keeps its progress in the store under <paramref name="name"/>.</summary>
    /// <param name="store">The store.</param>
    /// <param name="types">Records that the store may hold.</param>
    /// <param name="service">Service whose dispatcher publishes what the handler sends.</param>
    /// <param name="name">Name of its checkpoint. Several processes may run the same one: each event is committed by one of them.</param>
    /// <param name="handle">Handles one event. What it puts into the unit of work is committed with the checkpoint; when somebody else appended first, it is called again with a fresh one.</param>
    public static Subscription Checkpointed(
        IEventStore store, EventTypes types, string service, string name, Func<StoredEvent, UnitOfWork, CancellationToken, Task> handle) =>
        new(store, name, (self, after, token) => self.CommitPageAsync(types, service, name, handle, after, token));

    /// <summary>A subscription whose progress lives in this object only, from the first event on.</summary>
    /// <param name="store">The store.</param>
    /// <param name="handle">Handles one event.</param>
    /// <param name="rest">Waited for between the news of a commit and reading, so that commits that follow each other closely are read together; null: nothing.</param>
    public static Subscription FromStart(IEventStore store, Action<StoredEvent> handle, Func<CancellationToken, Task>? rest = null) =>
        new(store, null, (self, after, token) => self.ViewPageAsync(handle, after, token), rest);

    /// <summary>Runs until it is cancelled, and then returns. What the handler or the store throws ends it; it may be run again and goes on where its progress stands.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            await StartAsync(cancellationToken);
            Task? change = null;
            while (true)
            {
                // Listening begins before reading, so that a commit between the two is not slept through.
                change ??= store.WaitForChangeAsync(LongestWait, cancellationToken);
                if (!await AdvanceAsync(cancellationToken))
                {
                    await change;
                    change = null;
                    await (rest?.Invoke(cancellationToken) ?? Task.CompletedTask);
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The caller asked for the end; everything handled so far is committed.
            return;
        }
    }

    /// <summary>Handles every event that can be read now, and returns. For start-up, where a view has to be complete before it is asked.</summary>
    public async Task CatchUpAsync(CancellationToken cancellationToken)
    {
        await StartAsync(cancellationToken);
        while (await AdvanceAsync(cancellationToken))
        {
        }
    }

    private async Task StartAsync(CancellationToken cancellationToken)
    {
        if (checkpoint is not null)
        {
            Volatile.Write(ref position, await store.ReadCheckpointAsync(checkpoint, cancellationToken));
        }
    }

    /// <returns>False when there is nothing more for now.</returns>
    private async Task<bool> AdvanceAsync(CancellationToken cancellationToken)
    {
        long before = Position;
        try
        {
            long after = await advance(before, cancellationToken);
            Volatile.Write(ref position, after);
            return checkpoint is null ? after - before >= PageSize : after > before;
        }
        catch (Exception e) when (e is ConcurrencyException or CommitUnknownException)
        {
            // Another instance of this subscription moved the checkpoint, or somebody appended to an event stream that the handler decided on, or the answer to the commit was
            // lost. The checkpoint moves in the same transaction as everything else, so looking at it again settles all three.
            await StartAsync(cancellationToken);
            return true;
        }
    }

    private async Task<long> ViewPageAsync(Action<StoredEvent> handle, long after, CancellationToken cancellationToken)
    {
        EventPage page = await store.ReadAllAsync(after, PageSize, cancellationToken);
        foreach (StoredEvent stored in page.Events)
        {
            handle(stored);
            Volatile.Write(ref position, stored.Sequence);
        }

        return page.NextSequence;
    }

    private async Task<long> CommitPageAsync(
        EventTypes types, string service, string name, Func<StoredEvent, UnitOfWork, CancellationToken, Task> handle, long after, CancellationToken cancellationToken)
    {
        EventPage page = await store.ReadAllAsync(after, PageSize, cancellationToken);
        long committed = after;
        foreach (StoredEvent stored in page.Events)
        {
            UnitOfWork work = new(store, types, service) { CausationId = stored.EventId.ToString("N") };
            await handle(stored, work, cancellationToken);

            // Events that lead to nothing share the checkpoint of the page, because each commit costs a wait for the disk.
            if (!work.IsEmpty)
            {
                await work.CommitAsync(new CheckpointMove(name, committed, stored.Sequence), cancellationToken);
                committed = stored.Sequence;
                Volatile.Write(ref position, committed);
            }
        }

        if (page.NextSequence > committed)
        {
            await store.CommitAsync(new Commit(service, [], [], new CheckpointMove(name, committed, page.NextSequence)), cancellationToken);
        }

        return page.NextSequence;
    }
}
