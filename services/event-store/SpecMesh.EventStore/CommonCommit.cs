namespace SpecMesh.EventStore;

/// <summary>
/// Works of one service that are committed in one transaction, or not at all, each decided on what the earlier ones leave behind. So works that want the same event streams
/// do not race each other, and what follows from one that fails does not happen either. Used by one thread at a time.
/// </summary>
public sealed class CommonCommit
{
    private readonly List<UnitOfWork> works = [];
    private readonly Dictionary<(string StreamId, Type State), LoadedStream> pending = [];
    private readonly Dictionary<string, long> versions = new(StringComparer.Ordinal);

    /// <summary>Number of works taken.</summary>
    public int Count => works.Count;

    /// <summary>Lets a work see what the works taken so far leave behind. To be called before it loads what it shares with them.</summary>
    public void Admit(UnitOfWork work) => work.Company = this;

    /// <summary>Takes a work whose handling is over: it will be committed, and later works see what it leaves behind.</summary>
    /// <exception cref="ConcurrencyException">It was decided on something that an earlier one has moved. It is not taken.</exception>
    public void Take(UnitOfWork work)
    {
        foreach (StreamAppend append in work.Appends)
        {
            if (versions.TryGetValue(append.StreamId, out long version) && version != append.ExpectedVersion)
            {
                throw new ConcurrencyException(append.StreamId, append.ExpectedVersion);
            }
        }

        works.Add(work);
        foreach (StreamAppend append in work.Appends)
        {
            LoadedStream after = work.Loads[append.StreamId].Advance(append.Events);
            versions[append.StreamId] = after.Version;
            pending[after.Key] = after;
        }
    }

    /// <summary>Commits all that was taken. Nothing happens when it leaves nothing behind and was not decided on folds from memory.</summary>
    /// <exception cref="ConcurrencyException">Something moved meanwhile: nothing was done.</exception>
    public Task CommitAsync(CancellationToken cancellationToken) => CommitAsync(checkpoint: null, cancellationToken);

    internal Task CommitAsync(UnitOfWork only, CheckpointMove? checkpoint, CancellationToken cancellationToken)
    {
        Take(only);
        return CommitAsync(checkpoint, cancellationToken);
    }

    internal Loaded<TState>? Find<TState>(string streamId) =>
        pending.TryGetValue((streamId, typeof(TState)), out LoadedStream? stream) ? ((LoadedStream<TState>)stream).Loaded : null;

    private async Task CommitAsync(CheckpointMove? checkpoint, CancellationToken cancellationToken)
    {
        List<StreamVersion> unread =
        [
            .. works.SelectMany(work => work.Loads.Values)
                .Where(loaded => !loaded.IsRead && !versions.ContainsKey(loaded.StreamId))
                .Select(loaded => new StreamVersion(loaded.StreamId, loaded.Version))
                .Distinct(),
        ];
        if (works.TrueForAll(work => work.IsEmpty) && checkpoint is null && unread.Count == 0)
        {
            return;
        }

        UnitOfWork first = works[0];
        Commit commit = new(
            first.Service,
            [.. works.SelectMany(work => work.Appends)],
            [.. works.SelectMany(work => work.Outgoing(checkpoint))],
            checkpoint,
            first.CorrelationId,
            first.CausationId,
            unread,
            [.. works.SelectMany(work => work.TakenBack)]);
        try
        {
            await first.Store.CommitAsync(commit, cancellationToken);
        }
        catch
        {
            foreach ((FoldCache folds, LoadedStream loaded) in works.Where(work => work.Folds is not null).SelectMany(work => work.Loads.Values.Select(loaded => (work.Folds!, loaded))))
            {
                loaded.Doubt(folds);
            }

            throw;
        }

        if (first.Folds is not null)
        {
            foreach (LoadedStream after in pending.Values)
            {
                after.Remember(first.Folds);
            }
        }
    }
}
