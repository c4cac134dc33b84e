namespace SpecMesh.EventStore;

/// <summary>
/// Event streams with optimistic appends, and the messages, deadlines and checkpoints that belong to the same transaction.
/// PostgreSQL (in Marten's layout) and SQLite implement it; one compliance suite holds both to this text.
/// </summary>
public interface IEventStore : IAsyncDisposable
{
    /// <summary>Creates what is missing in the database. Safe to call from several processes at once.</summary>
    Task InitializeAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Does everything in <paramref name="commit"/> in one transaction, or nothing. Wakes this process's dispatcher and subscriptions after the commit, never inside it.
    /// </summary>
    /// <exception cref="ConcurrencyException">An event stream is not at its expected version, appended to or only read. Nothing was done: load again and decide again.</exception>
    /// <exception cref="ArgumentException">An append without events: it would wedge the event stream.</exception>
    Task CommitAsync(Commit commit, CancellationToken cancellationToken);

    /// <summary>Events of one event stream after <paramref name="afterVersion"/>, ordered by version; empty when there is none.</summary>
    Task<IReadOnlyList<StoredEvent>> ReadStreamAsync(string streamId, long afterVersion, int limit, CancellationToken cancellationToken);

    /// <summary>
    /// Events of all event streams after <paramref name="afterSequence"/>, ordered by sequence number. Never returns an event while an earlier one may still commit:
    /// a reader that goes on from <see cref="EventPage.NextSequence"/> sees every event once.
    /// </summary>
    Task<EventPage> ReadAllAsync(long afterSequence, int limit, CancellationToken cancellationToken);

    /// <summary>
    /// Takes messages of <paramref name="service"/> that are due, hands them to <paramref name="publish"/> in the order in which they were committed, and removes them when it returns.
    /// If it throws, or the process dies, they stay and are handed out again with the same message ids.
    /// </summary>
    /// <returns>How many were published (0 when nothing is due), and what <see cref="NextDueAsync"/> would say after it.</returns>
    Task<Dispatched> DispatchAsync(string service, int limit, Func<IReadOnlyList<OutboxMessage>, CancellationToken, Task> publish, CancellationToken cancellationToken);

    /// <summary>When the next message of <paramref name="service"/> falls due; null when there is none. In the past when one is due already.</summary>
    Task<DateTimeOffset?> NextDueAsync(string service, CancellationToken cancellationToken);

    /// <summary>Sequence number that the named subscription has handled; 0 for a new one.</summary>
    Task<long> ReadCheckpointAsync(string subscription, CancellationToken cancellationToken);

    /// <summary>
    /// Completes soon after a commit of this process, or of another one as far as the store can tell, and at the latest after <paramref name="atMost"/>. May complete early without any change.
    /// Listens from the moment of the call: whoever calls it, then reads, and awaits it only when the read found nothing, misses no commit in between.
    /// </summary>
    Task WaitForChangeAsync(TimeSpan atMost, CancellationToken cancellationToken);

    /// <summary><see cref="WaitForChangeAsync"/> for dispatchers: of this process's commits, those that leave nothing to publish do not end it.</summary>
    Task WaitForMessagesAsync(TimeSpan atMost, CancellationToken cancellationToken);
}

/// <summary>What one dispatch has done.</summary>
/// <param name="Count">Messages that were published.</param>
/// <param name="NextDue">When the service's next message falls due; null when there is none, in the past when one is due already.</param>
public readonly record struct Dispatched(int Count, DateTimeOffset? NextDue);

/// <summary>Part of the sequence of all events.</summary>
/// <param name="Events">Events in order.</param>
/// <param name="NextSequence">Where to read on; equal to what was asked for when nothing new can be read yet.</param>
public sealed record EventPage(IReadOnlyList<StoredEvent> Events, long NextSequence);

/// <summary>Events for one event stream.</summary>
/// <param name="StreamId">The event stream.</param>
/// <param name="StreamType">Marten's aggregate alias: <c>spec_op</c>.</param>
/// <param name="ExpectedVersion">Version that the decision was taken at; 0: the event stream must not exist.</param>
/// <param name="Events">Records of registered types, at least one.</param>
/// <param name="Headers">Makes the JSON object that is kept with the first of the events; null for none. Asked when it is written, and not by a store that keeps none.</param>
/// <param name="CorrelationId">For Marten's column of that name; null: the commit's.</param>
/// <param name="CausationId">For Marten's column of that name; null: the commit's.</param>
public sealed record StreamAppend(
    string StreamId,
    string StreamType,
    long ExpectedVersion,
    IReadOnlyList<object> Events,
    Func<System.Text.Json.JsonElement>? Headers = null,
    string? CorrelationId = null,
    string? CausationId = null);

/// <summary>A message that leaves after the commit.</summary>
/// <param name="MessageId">The same for the same decision, however often it is published.</param>
/// <param name="Message">The record.</param>
/// <param name="Destination">Queue that receives it; null: published to whoever listens.</param>
/// <param name="DueAt">When it leaves; null: at once.</param>
/// <param name="TraceParent">W3C trace context of the decision that caused it; null: that of whoever commits.</param>
/// <param name="About">What a deadline is about: by it a later commit takes the deadline back (<see cref="Commit.TakenBack"/>). Null: it always leaves, as what has no due time does.</param>
public sealed record OutgoingMessage(Guid MessageId, object Message, string? Destination, DateTimeOffset? DueAt, string? TraceParent = null, string? About = null);

/// <summary>A message as the dispatcher gets it.</summary>
/// <param name="MessageId">Id for the bus; consumers deduplicate by it.</param>
/// <param name="Alias">Alias of its type.</param>
/// <param name="Message">The record.</param>
/// <param name="Destination">Queue that receives it; null: published.</param>
/// <param name="DueAt">When it fell due.</param>
/// <param name="TraceParent">W3C trace context of the decision that caused it; null for none.</param>
public sealed record OutboxMessage(Guid MessageId, string Alias, object Message, string? Destination, DateTimeOffset DueAt, string? TraceParent);

/// <summary>A version that a decision was taken at.</summary>
/// <param name="StreamId">The event stream.</param>
/// <param name="Version">Its version; 0: it did not exist.</param>
public sealed record StreamVersion(string StreamId, long Version);

/// <summary>A subscription has handled everything up to here.</summary>
/// <param name="Subscription">Its name.</param>
/// <param name="ExpectedSequence">Where it stood before; the commit fails if another instance moved it.</param>
/// <param name="Sequence">Where it stands after.</param>
public sealed record CheckpointMove(string Subscription, long ExpectedSequence, long Sequence);

/// <summary>Everything that one decision leaves behind, in one transaction.</summary>
/// <param name="Service">Name of the service whose dispatcher publishes the messages.</param>
/// <param name="Appends">What is appended to which event stream. A later append to the same event stream expects the version that the earlier one leads to.</param>
/// <param name="Messages">Messages and deadlines.</param>
/// <param name="Checkpoint">A subscription's progress, or null.</param>
/// <param name="CorrelationId">For Marten's column of that name.</param>
/// <param name="CausationId">For Marten's column of that name.</param>
/// <param name="Reads">Event streams that the decision was taken from without appending to them, and that must still be at these versions; null for none.</param>
/// <param name="TakenBack">
/// What the service needs no deadline about any more: those that earlier commits have left are removed, except such as are being published at this moment, which still arrive.
/// Deadlines among <paramref name="Messages"/> stay. Null for none.
/// </param>
public sealed record Commit(
    string Service,
    IReadOnlyList<StreamAppend> Appends,
    IReadOnlyList<OutgoingMessage> Messages,
    CheckpointMove? Checkpoint = null,
    string? CorrelationId = null,
    string? CausationId = null,
    IReadOnlyList<StreamVersion>? Reads = null,
    IReadOnlyList<string>? TakenBack = null);

/// <summary>An event stream (or a checkpoint) was not where the writer expected it.</summary>
public sealed class ConcurrencyException : Exception
{
    public ConcurrencyException(string streamId, long expectedVersion, Exception? inner = null)
        : base($"{streamId} is not at version {expectedVersion}: somebody else appended first.", inner)
    {
        StreamId = streamId;
        ExpectedVersion = expectedVersion;
    }

    /// <summary>The event stream or subscription.</summary>
    public string StreamId { get; }

    /// <summary>Version that the writer expected.</summary>
    public long ExpectedVersion { get; }
}
