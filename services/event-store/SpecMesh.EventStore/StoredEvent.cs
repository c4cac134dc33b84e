using System.Text.Json;

namespace SpecMesh.EventStore;

/// <summary>One event as it lies in the store. Its JSON is read when somebody asks for it: many readers pass most events over.</summary>
public sealed class StoredEvent
{
    private readonly EventTypes? types;
    private readonly string? body;
    private readonly string? headersBody;
    private object? data;
    private JsonElement? headers;

    /// <param name="sequence">See <see cref="Sequence"/>.</param>
    /// <param name="eventId">See <see cref="EventId"/>.</param>
    /// <param name="streamId">See <see cref="StreamId"/>.</param>
    /// <param name="version">See <see cref="Version"/>.</param>
    /// <param name="alias">See <see cref="Alias"/>.</param>
    /// <param name="data">See <see cref="Data"/>.</param>
    /// <param name="timestamp">See <see cref="Timestamp"/>.</param>
    /// <param name="headers">See <see cref="Headers"/>.</param>
    public StoredEvent(long sequence, Guid eventId, string streamId, long version, string alias, object data, DateTimeOffset timestamp, JsonElement? headers)
    {
        Sequence = sequence;
        EventId = eventId;
        StreamId = streamId;
        Version = version;
        Alias = alias;
        Timestamp = timestamp;
        this.data = data;
        this.headers = headers;
    }

    /// <summary>An event whose JSON is not read yet.</summary>
    internal StoredEvent(long sequence, Guid eventId, string streamId, long version, string alias, string body, EventTypes types, DateTimeOffset timestamp, string? headersBody)
    {
        Sequence = sequence;
        EventId = eventId;
        StreamId = streamId;
        Version = version;
        Alias = alias;
        Timestamp = timestamp;
        this.body = body;
        this.types = types;
        this.headersBody = headersBody;
    }

    /// <summary>Position among all events, from 1, with gaps where an append was rolled back.</summary>
    public long Sequence { get; }

    /// <summary>Unique id.</summary>
    public Guid EventId { get; }

    /// <summary>Its event stream.</summary>
    public string StreamId { get; }

    /// <summary>Position in the event stream, dense from 1.</summary>
    public long Version { get; }

    /// <summary>Name of its type in the store: <c>replica_ready</c>.</summary>
    public string Alias { get; }

    /// <summary>When it was appended, by the writer's clock.</summary>
    public DateTimeOffset Timestamp { get; }

    /// <summary>The record; a <see cref="JsonElement"/> when the alias is not known here.</summary>
    public object Data => data ??= types!.Read(Alias, body!);

    /// <summary>What was decided from; null when nothing was recorded.</summary>
    public JsonElement? Headers => headers ??= headersBody is null ? null : JsonSerializer.Deserialize<JsonElement>(headersBody);
}
