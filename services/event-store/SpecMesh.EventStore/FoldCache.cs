using System.Diagnostics.CodeAnalysis;

namespace SpecMesh.EventStore;

/// <summary>
/// Folds of event streams that this process has used lately. A fold is only ever where to go on from: one of an event stream that this process was the last to append to is taken as
/// it is and checked at the commit, any other is read on from its version. So nothing is decided on a fold that is behind, and nothing needs to be told when another process appends.
/// Safe for concurrent use.
/// </summary>
public sealed class FoldCache(int capacity = FoldCache.DefaultCapacity)
{
    /// <summary>Folds that are kept; above it those go that were not used for the longest time.</summary>
    public const int DefaultCapacity = 4096;

    private readonly Dictionary<(string StreamId, Type State), LinkedListNode<Entry>> known = [];
    private readonly LinkedList<Entry> used = new();
    private readonly Lock gate = new();

    /// <summary>The latest fold of an event stream to this state.</summary>
    /// <param name="streamId">The event stream.</param>
    /// <param name="loaded">The fold.</param>
    /// <param name="isCurrent">True when this process was the last to append, as far as it knows.</param>
    internal bool TryGet<TState>(string streamId, [NotNullWhen(true)] out Loaded<TState>? loaded, out bool isCurrent)
    {
        lock (gate)
        {
            if (!known.TryGetValue((streamId, typeof(TState)), out LinkedListNode<Entry>? node))
            {
                (loaded, isCurrent) = (null, false);
                return false;
            }

            used.Remove(node);
            used.AddFirst(node);
            (loaded, isCurrent) = ((Loaded<TState>)node.Value.Loaded, node.Value.IsCurrent);
            return true;
        }
    }

    /// <summary>Remembers a fold of events that are durable, unless a later one is known.</summary>
    internal void Put<TState>(string streamId, Loaded<TState> loaded, bool isCurrent)
    {
        lock (gate)
        {
            (string, Type) key = (streamId, typeof(TState));
            if (known.TryGetValue(key, out LinkedListNode<Entry>? node))
            {
                if (node.Value.Version <= loaded.Version)
                {
                    node.Value = new Entry(key, loaded, loaded.Version, isCurrent || (node.Value.IsCurrent && node.Value.Version == loaded.Version));
                }

                return;
            }

            known.Add(key, used.AddFirst(new Entry(key, loaded, loaded.Version, isCurrent)));
            if (known.Count > capacity)
            {
                known.Remove(used.Last!.Value.Key);
                used.RemoveLast();
            }
        }
    }

    /// <summary>Somebody else may have appended: the next use reads on.</summary>
    internal void Doubt<TState>(string streamId)
    {
        lock (gate)
        {
            if (known.TryGetValue((streamId, typeof(TState)), out LinkedListNode<Entry>? node))
            {
                node.Value = node.Value with { IsCurrent = false };
            }
        }
    }

    private sealed record Entry((string StreamId, Type State) Key, object Loaded, long Version, bool IsCurrent);
}
