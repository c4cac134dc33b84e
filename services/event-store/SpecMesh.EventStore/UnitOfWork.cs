using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace SpecMesh.EventStore;

/// <summary>
/// Collects what one message's handling appends, sends and schedules, and commits it in one transaction.
/// Every event stream that was loaded and appended to must still be at the version it was loaded at; so must every one whose fold was taken from memory.
/// </summary>
/// <param name="store">The store.</param>
/// <param name="types">Records that it may hold.</param>
/// <param name="service">Service whose dispatcher publishes the messages.</param>
/// <param name="folds">
/// Folds in memory, which <see cref="CommitAsync"/> checks; null: every load reads the store from an event stream's beginning. Whoever does not commit uses <see cref="ReadAsync"/>.
/// </param>
public sealed class UnitOfWork(IEventStore store, EventTypes types, string service, FoldCache? folds = null)
{
    private const int PageSize = 1000;

    private readonly Dictionary<string, LoadedStream> loads = new(StringComparer.Ordinal);
    private readonly List<StreamAppend> appends = [];
    private readonly List<(object Message, string? Destination, DateTimeOffset? DueAt, string? TraceParent, string? About)> messages = [];
    private readonly List<string> takenBack = [];

    /// <summary>What caused the work, for the store's correlation and causation columns, and for message ids when nothing is appended.</summary>
    public string? CausationId { get; set; }

    /// <summary>The operation that the work belongs to, for the store's correlation column.</summary>
    public string? CorrelationId { get; set; }

    /// <summary>True when nothing would be committed.</summary>
    public bool IsEmpty => appends.Count == 0 && messages.Count == 0 && takenBack.Count == 0;

    /// <summary>The messages that leave after the commit.</summary>
    public IEnumerable<object> Messages => messages.Select(message => message.Message);

    /// <summary>Trace context of whoever asks; null for none.</summary>
    internal static string? CurrentTrace => Activity.Current is { IdFormat: ActivityIdFormat.W3C } activity ? activity.Id : null;

    internal IEventStore Store => store;

    internal string Service => service;

    internal FoldCache? Folds => folds;

    /// <summary>Works that this one is committed with; null when it goes alone.</summary>
    internal CommonCommit? Company { get; set; }

    internal IReadOnlyDictionary<string, LoadedStream> Loads => loads;

    internal IReadOnlyList<string> TakenBack => takenBack;

    internal IEnumerable<StreamAppend> Appends => appends.Select(append => append with { CorrelationId = CorrelationId, CausationId = CausationId });

    /// <summary>Folds an event stream and remembers its version.</summary>
    public Task<Loaded<TState>> LoadAsync<TState>(string streamId, TState initial, Func<TState, object, TState> evolve, CancellationToken cancellationToken) =>
        LoadAsync(streamId, new Loaded<TState>(initial, 0), evolve, cancellationToken);

    /// <summary>Folds what an event stream got since an earlier fold of it, and remembers its version: long event streams are not read again from their beginning.</summary>
    public async Task<Loaded<TState>> LoadAsync<TState>(string streamId, Loaded<TState> earlier, Func<TState, object, TState> evolve, CancellationToken cancellationToken)
    {
        (Loaded<TState> loaded, bool isCurrent) = FromMemory(streamId, earlier);
        if (!isCurrent)
        {
            loaded = await ReadOnAsync(streamId, loaded, evolve, cancellationToken);
            folds?.Put(streamId, loaded, isCurrent: false);
        }

        loads[streamId] = new LoadedStream<TState>(streamId, loaded, evolve, IsRead: !isCurrent);
        return loaded;
    }

    /// <summary>Folds an event stream as it is now, for an answer that no commit checks: what is known of it is only where reading goes on from.</summary>
    public async Task<Loaded<TState>> ReadAsync<TState>(string streamId, TState initial, Func<TState, object, TState> evolve, CancellationToken cancellationToken)
    {
        Loaded<TState> known = FromMemory(streamId, new Loaded<TState>(initial, 0)).Loaded;
        Loaded<TState> loaded = await ReadOnAsync(streamId, known, evolve, cancellationToken);
        folds?.Put(streamId, loaded, isCurrent: false);
        return loaded;
    }

    /// <summary>Appends to an event stream that was loaded in this unit of work. Nothing happens without events.</summary>
    /// <param name="streamId">The event stream.</param>
    /// <param name="streamType">Marten's aggregate alias.</param>
    /// <param name="events">Records of registered types.</param>
    /// <param name="decidedFrom">
    /// Tells what the events were decided from, kept in the headers of the first of them so that the decision can be taken again; null for none. Asked only when it is written.
    /// </param>
    public void Append(string streamId, string streamType, IReadOnlyList<object> events, Func<object>? decidedFrom = null)
    {
        if (events.Count == 0)
        {
            return;
        }

        if (!loads.TryGetValue(streamId, out LoadedStream? loaded))
        {
            throw new InvalidOperationException($"{streamId} was not loaded in this unit of work, so its expected version is not known.");
        }

        if (appends.Exists(append => append.StreamId == streamId))
        {
            throw new InvalidOperationException($"{streamId} is already appended to in this unit of work.");
        }

        appends.Add(new StreamAppend(streamId, streamType, loaded.Version, events, decidedFrom is null ? null : () => JsonOf(decidedFrom())));
    }

    /// <summary>A message that leaves after the commit: at once or when due, to a queue or to whoever listens.</summary>
    /// <param name="message">The record.</param>
    /// <param name="destination">Queue that receives it; null: whoever listens.</param>
    /// <param name="dueAt">When it leaves; null: at once.</param>
    /// <param name="about">What a deadline is about, for <see cref="TakeBack"/>; null: it always leaves.</param>
    public void Send(object message, string? destination = null, DateTimeOffset? dueAt = null, string? about = null) => messages.Add((message, destination, dueAt, CurrentTrace, about));

    /// <summary>
    /// Removes the service's deadlines about this that earlier commits have left. Only what would find nothing to do may be taken back, because one that is being published now still arrives.
    /// </summary>
    public void TakeBack(string about) => takenBack.Add(about);

    /// <summary>Commits everything, and a subscription's progress with it. Work that leaves nothing behind is checked as well: it may have been decided on a fold that is behind.</summary>
    /// <exception cref="ConcurrencyException">Something moved meanwhile: nothing was done.</exception>
    public Task CommitAsync(CheckpointMove? checkpoint, CancellationToken cancellationToken) => new CommonCommit().CommitAsync(this, checkpoint, cancellationToken);

    /// <summary>The messages with their ids.</summary>
    internal IEnumerable<OutgoingMessage> Outgoing(CheckpointMove? checkpoint)
    {
        string origin = appends.Count > 0
            ? $"{appends[0].StreamId}@{appends[0].ExpectedVersion + appends[0].Events.Count}"
            : $"{service}:{checkpoint?.Subscription}@{checkpoint?.Sequence}:{CausationId ?? Guid.NewGuid().ToString("N")}";
        return messages.Select((m, ordinal) => new OutgoingMessage(MessageIdOf(origin, ordinal), m.Message, m.Destination, m.DueAt, m.TraceParent, m.About));
    }

    /// <summary>The latest fold that is known without reading, and whether it can be taken as it is.</summary>
    private (Loaded<TState> Loaded, bool IsCurrent) FromMemory<TState>(string streamId, Loaded<TState> earlier)
    {
        if (Company?.Find<TState>(streamId) is { } pending)
        {
            return (pending, true);
        }

        return folds is not null && folds.TryGet(streamId, out Loaded<TState>? known, out bool isCurrent) && known.Version >= earlier.Version ? (known, isCurrent) : (earlier, false);
    }

    private async Task<Loaded<TState>> ReadOnAsync<TState>(string streamId, Loaded<TState> earlier, Func<TState, object, TState> evolve, CancellationToken cancellationToken)
    {
        (TState state, long version) = earlier;
        while (true)
        {
            IReadOnlyList<StoredEvent> page = await store.ReadStreamAsync(streamId, version, PageSize, cancellationToken);
            foreach (StoredEvent stored in page)
            {
                state = evolve(state, stored.Data);
                version = stored.Version;
            }

            if (page.Count < PageSize)
            {
                return new Loaded<TState>(state, version);
            }
        }
    }

    private JsonElement JsonOf(object record) => JsonSerializer.SerializeToElement(record, record.GetType(), types.Json);

    /// <summary>Message id = event stream id + version + ordinal, as a name-based UUID (RFC 9562, version 8 over SHA-256).</summary>
    private static Guid MessageIdOf(string origin, int ordinal)
    {
        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(Encoding.UTF8.GetBytes($"{origin}#{ordinal}"), hash);
        hash[6] = (byte)((hash[6] & 0x0F) | 0x80);
        hash[8] = (byte)((hash[8] & 0x3F) | 0x80);
        return new Guid(hash[..16], bigEndian: true);
    }
}
