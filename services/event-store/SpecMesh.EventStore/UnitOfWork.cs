using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace SpecMesh.EventStore;

/// <summary>An event stream folded to its state.</summary>
/// <param name="State">The fold; the initial state when the event stream does not exist.</param>
/// <param name="Version">Version that it was folded at; 0 when it does not exist.</param>
public sealed record Loaded<TState>(TState State, long Version);

/// <summary>
/// Collects what one message's handling appends, sends and schedules, and commits it in one transaction.
/// Every event stream that was loaded and appended to must still be at the version it was loaded at.
/// </summary>
public sealed class UnitOfWork(IEventStore store, EventTypes types, string service)
{
    private const int PageSize = 1000;

    private readonly Dictionary<string, long> versions = new(StringComparer.Ordinal);
    private readonly List<StreamAppend> appends = [];
    private readonly List<(object Message, string? Destination, DateTimeOffset? DueAt)> messages = [];

    /// <summary>What caused the work, for the store's correlation and causation columns, and for message ids when nothing is appended.</summary>
    public string? CausationId { get; set; }

    /// <summary>The operation that the work belongs to, for the store's correlation column.</summary>
    public string? CorrelationId { get; set; }

    /// <summary>True when nothing would be committed.</summary>
    public bool IsEmpty => appends.Count == 0 && messages.Count == 0;

    /// <summary>The messages that leave after the commit.</summary>
    public IEnumerable<object> Messages => messages.Select(message => message.Message);

    /// <summary>Folds an event stream and remembers its version.</summary>
    public Task<Loaded<TState>> LoadAsync<TState>(string streamId, TState initial, Func<TState, object, TState> evolve, CancellationToken cancellationToken) =>
        LoadAsync(streamId, new Loaded<TState>(initial, 0), evolve, cancellationToken);

    /// <summary>Folds what an event stream got since an earlier fold of it, and remembers its version: long event streams are not read again from their beginning.</summary>
    public async Task<Loaded<TState>> LoadAsync<TState>(string streamId, Loaded<TState> earlier, Func<TState, object, TState> evolve, CancellationToken cancellationToken)
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
                versions[streamId] = version;
                return new Loaded<TState>(state, version);
            }
        }
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

        if (!versions.TryGetValue(streamId, out long version))
        {
            throw new InvalidOperationException($"{streamId} was not loaded in this unit of work, so its expected version is not known.");
        }

        if (appends.Exists(append => append.StreamId == streamId))
        {
            throw new InvalidOperationException($"{streamId} is already appended to in this unit of work.");
        }

        appends.Add(new StreamAppend(streamId, streamType, version, events, decidedFrom is null ? null : () => JsonOf(decidedFrom())));
    }

    /// <summary>A message that leaves after the commit: at once or when due, to a queue or to whoever listens.</summary>
    public void Send(object message, string? destination = null, DateTimeOffset? dueAt = null) => messages.Add((message, destination, dueAt));

    /// <summary>Commits everything, and a subscription's progress with it.</summary>
    /// <exception cref="ConcurrencyException">Something moved meanwhile: nothing was done.</exception>
    public async Task CommitAsync(CheckpointMove? checkpoint, CancellationToken cancellationToken)
    {
        if (IsEmpty && checkpoint is null)
        {
            return;
        }

        string origin = appends.Count > 0
            ? $"{appends[0].StreamId}@{appends[0].ExpectedVersion + appends[0].Events.Count}"
            : $"{service}:{checkpoint?.Subscription}@{checkpoint?.Sequence}:{CausationId ?? Guid.NewGuid().ToString("N")}";
        List<OutgoingMessage> outgoing = [.. messages.Select((m, ordinal) => new OutgoingMessage(MessageIdOf(origin, ordinal), m.Message, m.Destination, m.DueAt))];
        await store.CommitAsync(new Commit(service, appends, outgoing, checkpoint, CorrelationId, CausationId), cancellationToken);
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
