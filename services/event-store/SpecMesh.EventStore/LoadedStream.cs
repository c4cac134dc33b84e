namespace SpecMesh.EventStore;

/// <summary>An event stream folded to its state.</summary>
/// <param name="State">The fold; the initial state when the event stream does not exist.</param>
/// <param name="Version">Version that it was folded at; 0 when it does not exist.</param>
public sealed record Loaded<TState>(TState State, long Version);

/// <summary>An event stream in a unit of work.</summary>
/// <param name="StreamId">Its name.</param>
/// <param name="Version">Version that it was loaded at.</param>
/// <param name="IsRead">False when its fold was taken from memory, so that nobody knows whether it is behind.</param>
internal abstract record LoadedStream(string StreamId, long Version, bool IsRead)
{
    /// <summary>Tells apart folds of one event stream to several states.</summary>
    public abstract (string StreamId, Type State) Key { get; }

    /// <summary>As it is once these events are appended.</summary>
    public abstract LoadedStream Advance(IReadOnlyList<object> events);

    /// <summary>Remembers the fold of what this process has just appended.</summary>
    public abstract void Remember(FoldCache folds);

    /// <summary>The fold in memory may be behind.</summary>
    public abstract void Doubt(FoldCache folds);
}

/// <inheritdoc/>
internal sealed record LoadedStream<TState>(string StreamId, Loaded<TState> Loaded, Func<TState, object, TState> Evolve, bool IsRead)
    : LoadedStream(StreamId, Loaded.Version, IsRead)
{
    /// <inheritdoc/>
    public override (string StreamId, Type State) Key => (StreamId, typeof(TState));

    /// <inheritdoc/>
    public override LoadedStream Advance(IReadOnlyList<object> events) =>
        this with { Loaded = new Loaded<TState>(events.Aggregate(Loaded.State, Evolve), Loaded.Version + events.Count), Version = Loaded.Version + events.Count };

    /// <inheritdoc/>
    public override void Remember(FoldCache folds) => folds.Put(StreamId, Loaded, isCurrent: true);

    /// <inheritdoc/>
    public override void Doubt(FoldCache folds) => folds.Doubt<TState>(StreamId);
}
