namespace SpecMesh.Simulator.Engine;

/// <summary>
/// Room for unsorted events in chunks of eight, two lines of the processor's cache each, linked backwards. Chunks that were used last are given out first, because they are still in the
/// cache. It grows to the most that was ever in use, and then allocates nothing more.
/// </summary>
internal sealed class ChunkPool
{
    /// <summary>Events of a chunk.</summary>
    public const int ChunkEvents = 1 << ChunkBits;

    public const int ChunkBits = 3;

    private const int None = -1;

    private SimEvent[] events = new SimEvent[64 * ChunkEvents];
    private int[] previous = new int[64];
    private int firstFree = None;
    private int untouched;

    /// <summary>All events; those of chunk <c>c</c> begin at <c>c · 8</c>.</summary>
    public SimEvent[] Events => events;

    /// <summary>The chunk that came before this one in its bucket.</summary>
    public int Previous(int chunk) => previous[chunk];

    /// <summary>A chunk to be filled after <paramref name="before"/>.</summary>
    public int Rent(int before)
    {
        int chunk = firstFree;
        if (chunk != None)
        {
            firstFree = previous[chunk];
        }
        else
        {
            if (untouched == previous.Length)
            {
                Array.Resize(ref events, events.Length * 2);
                Array.Resize(ref previous, previous.Length * 2);
            }

            chunk = untouched++;
        }

        previous[chunk] = before;
        return chunk;
    }

    /// <summary>Takes a chunk back and puts its events in order.</summary>
    /// <remarks>
    /// Each event goes to the place that is the number of those before it. For so few it is faster to ask each about each other than to sort them: the processor cannot foresee what a
    /// comparison of random times will give, and so must not have to choose its way by it.
    /// </remarks>
    public void TakeInOrder(int chunk, int count, Span<SimEvent> into)
    {
        ReadOnlySpan<SimEvent> all = events.AsSpan(chunk * ChunkEvents, count);
        for (int i = 0; i < all.Length; i++)
        {
            long timeNs = all[i].TimeNs;
            int before = 0;
            for (int j = 0; j < all.Length; j++)
            {
                // Of two events of one time, the one that came first is first.
                before += all[j].TimeNs - (j < i ? 1 : 0) < timeNs ? 1 : 0;
            }

            into[before] = all[i];
        }

        Return(chunk);
    }

    /// <summary>Takes a chunk back, whose events have been copied.</summary>
    public void Return(int chunk)
    {
        previous[chunk] = firstFree;
        firstFree = chunk;
    }
}
