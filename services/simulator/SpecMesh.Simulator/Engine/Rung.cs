using System.Numerics;
using System.Runtime.CompilerServices;

namespace SpecMesh.Simulator.Engine;

/// <summary>
/// A stretch of time in buckets of one width, a power of two of nanoseconds. A bucket keeps its events as they came; only when its time has come are they put in order.
/// </summary>
internal sealed class Rung(ChunkPool pool)
{
    private Bucket[] buckets = [];
    private ulong[] occupied = [];
    private long startNs;
    private int widthBits;
    private int words;
    private int word;

    /// <summary>Events at or after this time do not belong here.</summary>
    public long EndNs { get; private set; }

    /// <summary>Covers a stretch of time anew. All buckets are empty.</summary>
    /// <param name="fromNs">Its beginning.</param>
    /// <param name="endNs">Its end, after the beginning.</param>
    /// <param name="bits">Logarithm to the base of 2 of a bucket's width in nanoseconds.</param>
    public void Cover(long fromNs, long endNs, int bits)
    {
        int count = (int)((endNs - 1 - fromNs) >> bits) + 1;
        (startNs, EndNs, widthBits) = (fromNs, endNs, bits);
        (words, word) = ((count + 63) / 64, 0);
        if (occupied.Length < words)
        {
            words = (int)BitOperations.RoundUpToPowerOf2((uint)words);
            buckets = new Bucket[words * 64];
            occupied = new ulong[words];
        }
    }

    /// <summary>Adds an event that is before the end, and not in a bucket that has been taken or before one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Push(SimEvent added)
    {
        int index = (int)((added.TimeNs - startNs) >> widthBits);
        ref Bucket bucket = ref buckets[index];
        int slot = bucket.Count++ & (ChunkPool.ChunkEvents - 1);
        if (slot == 0)
        {
            occupied[index / 64] |= 1UL << index;
            bucket.Tail = pool.Rent(bucket.Tail);
        }

        pool.Events[(bucket.Tail * ChunkPool.ChunkEvents) + slot] = added;
    }

    /// <summary>Takes the events of the earliest bucket that has any: in order when they fit into a chunk, otherwise as they came. False when there are none.</summary>
    /// <param name="into">Receives them from its beginning on; grows when it must.</param>
    /// <param name="count">How many.</param>
    /// <param name="fromNs">Where the bucket begins.</param>
    /// <param name="endNs">Where the bucket ends.</param>
    public bool TryTake(ref SimEvent[] into, out int count, out long fromNs, out long endNs)
    {
        while (word < words && occupied[word] == 0)
        {
            word++;
        }

        if (word >= words)
        {
            (count, fromNs, endNs) = (0, EndNs, EndNs);
            return false;
        }

        int index = (word * 64) + BitOperations.TrailingZeroCount(occupied[word]);
        occupied[word] &= occupied[word] - 1;
        fromNs = startNs + ((long)index << widthBits);
        // The last bucket may reach beyond the end, and beyond the last time that there is.
        endNs = EndNs - fromNs > 1L << widthBits ? fromNs + (1L << widthBits) : EndNs;
        ref Bucket bucket = ref buckets[index];
        count = bucket.Count;
        bucket.Count = 0;
        if (count <= ChunkPool.ChunkEvents)
        {
            pool.TakeInOrder(bucket.Tail, count, into);
        }
        else
        {
            TakeChain(bucket.Tail, count, ref into);
        }

        return true;
    }

    private void TakeChain(int tail, int count, ref SimEvent[] into)
    {
        int chunks = (count + ChunkPool.ChunkEvents - 1) / ChunkPool.ChunkEvents;
        if (into.Length < count)
        {
            into = new SimEvent[BitOperations.RoundUpToPowerOf2((uint)count)];
        }

        int end = count;
        int begin = (chunks - 1) * ChunkPool.ChunkEvents;
        for (int chunk = tail; begin >= 0; begin -= ChunkPool.ChunkEvents)
        {
            Array.Copy(pool.Events, chunk * ChunkPool.ChunkEvents, into, begin, end - begin);
            end = begin;
            int before = pool.Previous(chunk);
            pool.Return(chunk);
            chunk = before;
        }
    }

    private struct Bucket
    {
        public int Tail;
        public int Count;
    }
}
