using System.Diagnostics.CodeAnalysis;

namespace SpecMesh.HostAgent;

/// <summary>The latest entries by key: above its capacity the oldest is forgotten. Safe for concurrent use.</summary>
internal sealed class Latest<TKey, TValue>(int capacity)
    where TKey : notnull
{
    private readonly Dictionary<TKey, TValue> known = [];
    private readonly Queue<TKey> order = new();
    private readonly Lock gate = new();

    /// <summary>Finds an entry that is not forgotten yet.</summary>
    public bool TryGet(TKey key, [MaybeNullWhen(false)] out TValue value)
    {
        lock (gate)
        {
            return known.TryGetValue(key, out value);
        }
    }

    /// <summary>Adds an entry. One that is there keeps its value and its age.</summary>
    public void Add(TKey key, TValue value)
    {
        lock (gate)
        {
            if (!known.TryAdd(key, value))
            {
                return;
            }

            order.Enqueue(key);
            if (order.Count > capacity)
            {
                known.Remove(order.Dequeue());
            }
        }
    }
}
