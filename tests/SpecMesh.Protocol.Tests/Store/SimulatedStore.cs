using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Protocol.Tests.Services;

namespace SpecMesh.Protocol.Tests.Store;

/// <summary>
/// The database: event streams, outboxes and checkpoints in memory, with the rules of <see cref="IEventStore"/> and nothing of its I/O. Every commit is one indivisible step.
/// </summary>
internal sealed class SimulatedStore
{
    private readonly Dictionary<string, List<StoredEvent>> streams = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<OutboxRow>> outboxes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> checkpoints = new(StringComparer.Ordinal);
    private readonly List<StoredEvent> all = [];
    private long sequence;

    /// <summary>Called after a commit with its new events.</summary>
    public Action<IReadOnlyList<StoredEvent>>? Committed { get; set; }

    /// <summary>True: a writer's expected version is not compared. A mutation.</summary>
    public bool IgnoresVersions { get; set; }

    /// <summary>True: an operation's deadlines go with its outcome already, while losers may still have to be asked again. A mutation.</summary>
    public bool TakesBackEarly { get; set; }

    /// <summary>All events in order of their sequence numbers.</summary>
    public IReadOnlyList<StoredEvent> All => all;

    /// <summary>Everything that waits in an outbox.</summary>
    public IEnumerable<OutboxRow> Waiting => outboxes.Values.SelectMany(rows => rows);

    /// <summary>The first events' JSON headers, made only when somebody asks.</summary>
    public Dictionary<long, Func<System.Text.Json.JsonElement>> Headers { get; } = [];

    /// <summary>Does everything, or throws and does nothing.</summary>
    public void Commit(Commit commit, DateTimeOffset now)
    {
        if (Array.Find([.. commit.Appends], append => append.Events.Count == 0 || append.ExpectedVersion < 0 || append.StreamId.Length == 0) is { } wrong)
        {
            throw new ArgumentException($"'{wrong.StreamId}' at version {wrong.ExpectedVersion} cannot be appended to with {wrong.Events.Count} events.", nameof(commit));
        }

        CheckVersions(commit);
        List<StoredEvent> added = [];
        foreach (StreamAppend append in commit.Appends)
        {
            List<StoredEvent> stream = StreamOf(append.StreamId);
            for (int i = 0; i < append.Events.Count; i++)
            {
                object data = append.Events[i];
                StoredEvent stored = new(++sequence, IdOf(sequence), append.StreamId, stream.Count + 1, Composition.Types.AliasOf(data.GetType()), data, now, null);
                stream.Add(stored);
                all.Add(stored);
                added.Add(stored);
                if (i == 0 && append.Headers is { } headers)
                {
                    Headers[sequence] = headers;
                }
            }
        }

        if (commit.TakenBack is { Count: > 0 } takenBack)
        {
            RowsOf(commit.Service).RemoveAll(row => row.Locker is null && row.HasDueTime && row.Message.About is { } about && takenBack.Contains(about));
        }

        foreach (OutgoingMessage message in commit.Messages)
        {
            RowsOf(commit.Service).Add(new OutboxRow(message, message.DueAt is { } due && due > now ? due : now, message.DueAt is not null));
        }

        foreach (StreamAppend ended in commit.Appends.Where(append => TakesBackEarly && append.Events.Any(data => data is SpecOpCompleted)))
        {
            RowsOf(commit.Service).RemoveAll(row => row.HasDueTime && row.Message.About == ended.StreamId);
        }

        if (commit.Checkpoint is { } move)
        {
            checkpoints[move.Subscription] = move.Sequence;
        }

        Committed?.Invoke(added);
    }

    /// <summary>Events of one event stream after a version.</summary>
    public IReadOnlyList<StoredEvent> Read(string streamId, long afterVersion, int limit) => !streams.TryGetValue(streamId, out List<StoredEvent>? stream) || stream.Count <= afterVersion
        ? []
        : stream.GetRange((int)afterVersion, Math.Min(limit, stream.Count - (int)afterVersion));

    /// <summary>Events of all event streams after a sequence number.</summary>
    public EventPage ReadAll(long afterSequence, int limit)
    {
        int low = 0, high = all.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = all[middle].Sequence <= afterSequence ? (middle + 1, high) : (low, middle);
        }

        List<StoredEvent> events = all.GetRange(low, Math.Min(limit, all.Count - low));
        return new EventPage(events, events.Count == 0 ? afterSequence : events[^1].Sequence);
    }

    /// <summary>Progress of a subscription.</summary>
    public long Checkpoint(string subscription) => checkpoints.GetValueOrDefault(subscription);

    /// <summary>Locks rows that are due and that nobody else has locked, in the order of their commits.</summary>
    public List<OutboxRow> Take(string service, int limit, DateTimeOffset now, object locker)
    {
        List<OutboxRow> taken = [];
        foreach (OutboxRow row in RowsOf(service))
        {
            if (taken.Count < limit && row.Locker is null && (!row.HasDueTime || row.DueAt <= now))
            {
                row.Locker = locker;
                taken.Add(row);
            }
        }

        return taken;
    }

    /// <summary>Removes rows that have left.</summary>
    public void Remove(string service, List<OutboxRow> rows) => RowsOf(service).RemoveAll(rows.Contains);

    /// <summary>A transaction has ended without a commit, or its process has died: its rows are free again.</summary>
    public void Unlock(object locker)
    {
        foreach (List<OutboxRow> rows in outboxes.Values)
        {
            rows.ForEach(row => row.Locker = row.Locker == locker ? null : row.Locker);
        }
    }

    /// <summary>When the next message of a service is due: at once when one has no due time.</summary>
    public DateTimeOffset? NextDue(string service, DateTimeOffset now)
    {
        DateTimeOffset? first = null;
        foreach (OutboxRow row in RowsOf(service))
        {
            DateTimeOffset due = row.HasDueTime || row.DueAt <= now ? row.DueAt : now;
            first = first < due ? first : due;
        }

        return first;
    }

    private void CheckVersions(Commit commit)
    {
        Dictionary<string, long> versions = new(StringComparer.Ordinal);
        long VersionOf(string streamId) => versions.TryGetValue(streamId, out long version) ? version : streams.TryGetValue(streamId, out List<StoredEvent>? stream) ? stream.Count : 0;
        foreach (StreamVersion read in commit.Reads ?? [])
        {
            if (VersionOf(read.StreamId) != read.Version)
            {
                throw new ConcurrencyException(read.StreamId, read.Version);
            }
        }

        foreach (StreamAppend append in commit.Appends)
        {
            bool current = append.ExpectedVersion == VersionOf(append.StreamId);
            versions[append.StreamId] = VersionOf(append.StreamId) + append.Events.Count;
            if (!current && !(IgnoresVersions && append.StreamId.StartsWith(EventStreams.VmPrefix, StringComparison.Ordinal)))
            {
                // The numbers of a commit that was rolled back are never used again.
                sequence += commit.Appends.Count;
                throw new ConcurrencyException(append.StreamId, append.ExpectedVersion);
            }
        }

        if (commit.Checkpoint is { } move && Checkpoint(move.Subscription) != move.ExpectedSequence)
        {
            throw new ConcurrencyException(move.Subscription, move.ExpectedSequence);
        }
    }

    private List<StoredEvent> StreamOf(string streamId)
    {
        if (!streams.TryGetValue(streamId, out List<StoredEvent>? stream))
        {
            streams.Add(streamId, stream = []);
        }

        return stream;
    }

    private List<OutboxRow> RowsOf(string service)
    {
        if (!outboxes.TryGetValue(service, out List<OutboxRow>? rows))
        {
            outboxes.Add(service, rows = []);
        }

        return rows;
    }

    private static Guid IdOf(long sequence) => new((int)sequence, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
}

/// <summary>One message in an outbox.</summary>
/// <param name="message">What was sent.</param>
/// <param name="dueAt">When it leaves.</param>
/// <param name="hasDueTime">False: it leaves at once, whatever any clock says.</param>
internal sealed class OutboxRow(OutgoingMessage message, DateTimeOffset dueAt, bool hasDueTime)
{
    public OutgoingMessage Message { get; } = message;

    public DateTimeOffset DueAt { get; } = dueAt;

    public bool HasDueTime { get; } = hasDueTime;

    /// <summary>The transaction that holds the row; null when none does.</summary>
    public object? Locker { get; set; }
}
