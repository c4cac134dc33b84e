using System.Text.Json;

namespace SpecMesh.EventStore;

/// <summary>One event as both stores write it.</summary>
internal sealed record EventRow(Guid Id, long Version, string Alias, string DotNetType, string Body, string? Headers);

/// <summary>The events for one event stream as both stores write them.</summary>
internal sealed record StreamRows(string StreamId, string StreamType, long ExpectedVersion, IReadOnlyList<EventRow> Events, string? CorrelationId, string? CausationId)
{
    public long NewVersion => ExpectedVersion + Events.Count;
}

/// <summary>One message as both stores write it.</summary>
internal sealed record OutboxRow(Guid MessageId, string Alias, string Body, string? Destination, DateTimeOffset? DueAt, string? TraceParent, string? About);

/// <summary>
/// A commit in the form of table rows. Everything that can be refused or fail to serialise does so here, before a transaction is open and before a sequence number is drawn.
/// </summary>
internal sealed record CommitRows(
    string Service,
    IReadOnlyList<StreamRows> Streams,
    IReadOnlyList<OutboxRow> Outbox,
    CheckpointMove? Checkpoint,
    DateTimeOffset Timestamp,
    IReadOnlyList<StreamVersion> Reads,
    IReadOnlyList<string> TakenBack)
{
    /// <summary>Event stream that Marten fills burnt sequence numbers with; nobody may append to it.</summary>
    public const string TombstoneStream = "mt_tombstone";

    /// <summary>Alias of the events in <see cref="TombstoneStream"/>.</summary>
    public const string TombstoneAlias = "tombstone";

    public bool IsEmpty => Streams.Count == 0 && Outbox.Count == 0 && Checkpoint is null && Reads.Count == 0 && TakenBack.Count == 0;

    /// <summary>The version at which the first append finds each event stream.</summary>
    public IEnumerable<StreamVersion> Expected => Streams.DistinctBy(stream => stream.StreamId).Select(stream => new StreamVersion(stream.StreamId, stream.ExpectedVersion));

    /// <summary>True when other readers have something new to see; a moved checkpoint alone interests nobody else.</summary>
    public bool WakesReaders => Streams.Count > 0 || Outbox.Count > 0;

    /// <summary>True when there is something to publish, now or later.</summary>
    public bool WakesDispatchers => Outbox.Count > 0;

    /// <exception cref="ArgumentException">The commit can never succeed.</exception>
    public static CommitRows From(Commit commit, EventTypes types, TimeProvider clock)
    {
        DateTimeOffset now = StoredTime.Now(clock);

        // Ordered by id, so that two writers of the same event streams meet at the first of them and cannot wait for each other; appends to the same one stay in their order.
        List<StreamRows> streams = [.. commit.Appends.OrderBy(append => append.StreamId, StringComparer.Ordinal).Select(append => RowsOf(append, commit, types, now))];
        for (int i = 1; i < streams.Count; i++)
        {
            if (streams[i].StreamId == streams[i - 1].StreamId && streams[i].ExpectedVersion != streams[i - 1].NewVersion)
            {
                throw new ArgumentException($"{streams[i].StreamId} is appended to twice in one commit, and not one after the other.", nameof(commit));
            }
        }

        if (commit.Checkpoint is { } move && (move.ExpectedSequence < 0 || move.Sequence < move.ExpectedSequence))
        {
            throw new ArgumentException($"The checkpoint of {move.Subscription} cannot move from {move.ExpectedSequence} to {move.Sequence}.", nameof(commit));
        }

        return new CommitRows(
            commit.Service,
            streams,
            [.. commit.Messages.Select(message => RowOf(message, types))],
            commit.Checkpoint,
            now,
            commit.Reads ?? [],
            commit.TakenBack ?? []);
    }

    private static StreamRows RowsOf(StreamAppend append, Commit commit, EventTypes types, DateTimeOffset now)
    {
        if (append.Events.Count == 0)
        {
            throw new ArgumentException($"An append to {append.StreamId} without events: it would wedge the event stream.", nameof(append));
        }

        if (append.StreamId.Length == 0 || append.StreamId == TombstoneStream || append.ExpectedVersion < 0)
        {
            throw new ArgumentException($"'{append.StreamId}' at version {append.ExpectedVersion} cannot be appended to.", nameof(append));
        }

        JsonElement? made = append.Headers?.Invoke();
        if (made is { ValueKind: not JsonValueKind.Object })
        {
            throw new ArgumentException($"The headers for {append.StreamId} are no JSON object.", nameof(append));
        }

        string? headers = made?.GetRawText();
        if (headers is not null)
        {
            RefuseNul(headers, "headers");
        }

        List<EventRow> events = new(append.Events.Count);
        foreach (object data in append.Events)
        {
            Type type = data.GetType();
            string alias = types.AliasOf(type);
            string body = Body(data, alias, types);
            long version = append.ExpectedVersion + events.Count + 1;
            events.Add(new EventRow(Guid.CreateVersion7(now), version, alias, $"{type.FullName}, {type.Assembly.GetName().Name}", body, events.Count == 0 ? headers : null));
        }

        return new StreamRows(append.StreamId, append.StreamType, append.ExpectedVersion, events, append.CorrelationId ?? commit.CorrelationId, append.CausationId ?? commit.CausationId);
    }

    private static OutboxRow RowOf(OutgoingMessage outgoing, EventTypes types)
    {
        string alias = types.AliasOf(outgoing.Message.GetType());
        return new OutboxRow(
            outgoing.MessageId,
            alias,
            Body(outgoing.Message, alias, types),
            outgoing.Destination,
            outgoing.DueAt is { } due ? StoredTime.NotBefore(due) : null,
            outgoing.TraceParent ?? UnitOfWork.CurrentTrace,
            outgoing.DueAt is null ? null : outgoing.About);
    }

    private static string Body(object record, string alias, EventTypes types)
    {
        string body = types.Write(record);
        RefuseNul(body, alias);
        return body;
    }

    /// <summary>PostgreSQL's jsonb cannot hold the character U+0000. Both stores refuse it, so that what one accepts the other does too.</summary>
    private static void RefuseNul(string json, string what)
    {
        for (int at = json.IndexOf("\\u0000", StringComparison.Ordinal); at >= 0; at = json.IndexOf("\\u0000", at + 1, StringComparison.Ordinal))
        {
            // An even number of backslashes before this one means that it begins an escape; an odd number means that it is itself escaped text.
            int before = 0;
            while (before < at && json[at - before - 1] == '\\')
            {
                before++;
            }

            if (before % 2 == 0)
            {
                throw new ArgumentException($"A string in {what} contains the character U+0000, which cannot be stored.", nameof(json));
            }
        }
    }
}
