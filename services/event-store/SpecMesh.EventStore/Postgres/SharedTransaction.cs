namespace SpecMesh.EventStore.Postgres;

/// <summary>Which of several commits can be in one transaction, in their order, and what that transaction must find.</summary>
internal sealed class SharedTransaction
{
    private readonly Dictionary<string, long> versions = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> checkpoints = new(StringComparer.Ordinal);
    private readonly Dictionary<string, StreamVersion> expected = new(StringComparer.Ordinal);
    private readonly Dictionary<CommitRows, ConcurrencyException> conflicts = new(ReferenceEqualityComparer.Instance);

    public SharedTransaction(IEnumerable<CommitRows> commits)
    {
        foreach (CommitRows rows in commits)
        {
            if (FirstConflict(rows) is { } conflict)
            {
                conflicts.Add(rows, conflict);
            }
            else
            {
                Admit(rows);
                Commits.Add(rows);
            }
        }
    }

    /// <summary>Commits that go together.</summary>
    public List<CommitRows> Commits { get; } = [];

    /// <summary>What must hold before anything is written: the versions of all event streams, so that no commit draws numbers in vain for another's lost race.</summary>
    public IReadOnlyList<StreamVersion> Expected => [.. expected.Values];

    /// <summary>Why a commit has lost once the others have succeeded; null when it is among these.</summary>
    public ConcurrencyException? ConflictOf(CommitRows rows) => conflicts.GetValueOrDefault(rows);

    private ConcurrencyException? FirstConflict(CommitRows rows)
    {
        foreach (StreamVersion wanted in rows.Expected.Concat(rows.Reads))
        {
            long? known = versions.TryGetValue(wanted.StreamId, out long version) ? version : expected.GetValueOrDefault(wanted.StreamId)?.Version;
            if (known is not null && known != wanted.Version)
            {
                return new ConcurrencyException(wanted.StreamId, wanted.Version);
            }
        }

        return rows.Checkpoint is { } move && checkpoints.TryGetValue(move.Subscription, out long at) && at != move.ExpectedSequence
            ? new ConcurrencyException(move.Subscription, move.ExpectedSequence)
            : null;
    }

    private void Admit(CommitRows rows)
    {
        foreach (StreamVersion read in rows.Reads.Where(read => !versions.ContainsKey(read.StreamId)))
        {
            expected.TryAdd(read.StreamId, read);
        }

        foreach (StreamVersion first in rows.Expected.Where(first => !versions.ContainsKey(first.StreamId)))
        {
            expected.TryAdd(first.StreamId, first);
        }

        foreach (StreamRows stream in rows.Streams)
        {
            versions[stream.StreamId] = stream.NewVersion;
        }

        if (rows.Checkpoint is { } move)
        {
            checkpoints[move.Subscription] = move.Sequence;
        }
    }
}
