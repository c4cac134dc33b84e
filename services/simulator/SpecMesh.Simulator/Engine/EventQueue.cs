using System.Numerics;
using System.Runtime.CompilerServices;

namespace SpecMesh.Simulator.Engine;

/// <summary>The events to come, in order of their times; events of one time leave in the order in which they came.</summary>
/// <remarks>
/// A ladder: the next few events are in order (the bottom), those of the near future are in buckets by time (rungs, each within one bucket of the rung above), and the rest is in no order at
/// all (the top). Whenever events move down, they move in the order in which they came, so that the order of ties needs no comparison, and does not depend on sequence numbers, which start
/// anew after 2³² events. An event moves down three or four times in its life, through memory that is in the cache: the cost does not grow with the number of events, as that of a heap does.
/// The idea is that of Tang, Goh and Thng, "Ladder queue", ACM TOMACS 15 (2005); chunks, bit maps of buckets and the sampled share are ours.
/// </remarks>
/// <param name="firstSequence">The number of the first event.</param>
public sealed class EventQueue(uint firstSequence = 0)
{
    /// <summary>A new event moves at most so many others out of its way before the bottom is spread over a rung.</summary>
    private const int LongestShift = 64;

    /// <summary>So many buckets at most, with the chunks that are being filled, stay in the second cache.</summary>
    private const int MostBuckets = 8192;

    /// <summary>When there are too many events for that, they are first spread over few buckets, which stay in the first cache, and those later over rungs of their own.</summary>
    private const int CoarseBuckets = 1024;

    /// <summary>So many events at most, and half as many at least, a bucket is to have had when its time has come.</summary>
    private const int EventsPerBucket = 3;

    /// <summary>How many events of the top are asked where most of them lie.</summary>
    private const int Samples = 64;

    /// <summary>A rung reaches to where this share of the top lies before: the rest may be very far, and would make the buckets wide.</summary>
    private const int SpreadSamples = Samples * 19 / 20;

    private readonly ChunkPool pool = new();
    private readonly long[] samples = new long[Samples];
    private Rung[] rungs = [];
    private int depth;
    private SimEvent[] bottom = new SimEvent[256];
    private int head;
    private int tail;
    private long bottomEndNs;
    private SimEvent[] top = new SimEvent[256];
    private int topCount;
    private long spreadNs;
    private uint spreadPopped = firstSequence;
    private uint nextSequence = firstSequence;

    /// <summary>How many events are to come, stale ones counted.</summary>
    public int Count { get; private set; }

    /// <summary>The time of the event that was popped last.</summary>
    public long NowNs { get; private set; }

    /// <summary>Adds an event and returns its number, which no other event has among the 2³² around it.</summary>
    /// <param name="timeNs">When it happens; not before the event that was popped last.</param>
    /// <param name="kind">What happens, below <see cref="SimEvent.KindLimit"/>.</param>
    /// <param name="entity">To whom, below <see cref="SimEvent.EntityLimit"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The time has passed, or a number is at or above its limit.</exception>
    public uint Push(long timeNs, uint kind, uint entity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(timeNs, NowNs);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(kind, SimEvent.KindLimit);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(entity, SimEvent.EntityLimit);
        SimEvent added = new(timeNs, nextSequence++, SimEvent.Pack(kind, entity));
        Count++;
        if (timeNs < bottomEndNs)
        {
            Insert(added);
            return added.Sequence;
        }

        for (int level = depth - 1; level >= 0; level--)
        {
            if (timeNs < rungs[level].EndNs)
            {
                rungs[level].Push(added);
                return added.Sequence;
            }
        }

        if (topCount == top.Length)
        {
            Array.Resize(ref top, topCount * 2);
        }

        top[topCount++] = added;
        return added.Sequence;
    }

    /// <summary>Takes the earliest event out. False when there is none.</summary>
    public bool TryPop(out SimEvent next)
    {
        if (head == tail && !Refill())
        {
            next = default;
            return false;
        }

        next = bottom[head++];
        NowNs = next.TimeNs;
        Count--;
        return true;
    }

    /// <summary>Takes the earliest event out when it is earlier than <paramref name="endNs"/>. False when there is none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryPopBefore(long endNs, out SimEvent next)
    {
        if (head == tail && !Refill())
        {
            next = default;
            return false;
        }

        next = bottom[head];
        if (next.TimeNs >= endNs)
        {
            return false;
        }

        head++;
        NowNs = next.TimeNs;
        Count--;
        return true;
    }

    /// <summary>Puts an event into the bottom, behind those of its time.</summary>
    private void Insert(SimEvent added)
    {
        if (tail == bottom.Length)
        {
            MakeRoom();
        }

        int place = tail++;
        if (place - head > LongestShift && bottom[place - LongestShift].TimeNs > added.TimeNs)
        {
            bottom[place] = added;
            SpreadBottom(NowNs);
            return;
        }

        while (place > head && bottom[place - 1].TimeNs > added.TimeNs)
        {
            bottom[place] = bottom[place - 1];
            place--;
        }

        bottom[place] = added;
    }

    private void MakeRoom()
    {
        int count = tail - head;
        SimEvent[] to = count > bottom.Length / 2 ? new SimEvent[bottom.Length * 2] : bottom;
        Array.Copy(bottom, head, to, 0, count);
        (bottom, head, tail) = (to, 0, count);
    }

    /// <summary>Brings the next events into the empty bottom, in order. False when there are none.</summary>
    private bool Refill()
    {
        while (Count > 0)
        {
            head = tail = 0;
            if (depth == 0)
            {
                if (TrySortTop())
                {
                    return true;
                }

                SpreadTop();
            }
            else if (!rungs[depth - 1].TryTake(ref bottom, out tail, out long fromNs, out bottomEndNs))
            {
                depth--;
            }
            else if (tail <= ChunkPool.ChunkEvents || EventOrder.TryEstablish(bottom.AsSpan(0, tail)))
            {
                return true;
            }
            else
            {
                SpreadBottom(fromNs);
            }
        }

        // Nothing is to come: whatever is pushed next belongs to the top.
        bottomEndNs = NowNs;
        return false;
    }

    /// <summary>Spreads the bottom over a rung of its own.</summary>
    private void SpreadBottom(long fromNs)
    {
        Rung rung = AddRung(fromNs, bottomEndNs, tail - head);
        for (int i = head; i < tail; i++)
        {
            rung.Push(bottom[i]);
        }

        head = tail = 0;
        bottomEndNs = fromNs;
    }

    /// <summary>Makes the top the bottom, when it is small or of one time.</summary>
    private bool TrySortTop()
    {
        if (!EventOrder.TryEstablish(top.AsSpan(0, topCount)))
        {
            return false;
        }

        (bottom, top) = (top, bottom);
        (tail, topCount) = (topCount, 0);
        bottomEndNs = After(bottom[tail - 1].TimeNs);
        return true;
    }

    /// <summary>Spreads most of the top over a rung.</summary>
    private void SpreadTop()
    {
        Span<SimEvent> all = top.AsSpan(0, topCount);
        long earliestNs = long.MaxValue;
        foreach (ref readonly SimEvent pending in all)
        {
            earliestNs = Math.Min(earliestNs, pending.TimeNs);
        }

        for (int i = 0; i < Samples; i++)
        {
            samples[i] = all[(int)((long)i * topCount / Samples)].TimeNs;
        }

        Array.Sort(samples);
        long endNs = After(samples[SpreadSamples]);
        Rung rung = AddRung(earliestNs, endNs, Math.Max(Expected(endNs - earliestNs), (long)topCount * SpreadSamples / Samples));
        int kept = 0;
        foreach (ref readonly SimEvent pending in all)
        {
            if (pending.TimeNs < endNs)
            {
                rung.Push(pending);
            }
            else
            {
                all[kept++] = pending;
            }
        }

        topCount = kept;
        bottomEndNs = earliestNs;
    }

    /// <summary>The next moment; after the last one there is none.</summary>
    private static long After(long timeNs) => timeNs == long.MaxValue ? timeNs : timeNs + 1;

    /// <summary>Makes a rung above all others in whose buckets there will be two to four events each when their time has come, unless it would take too many buckets.</summary>
    private Rung AddRung(long fromNs, long endNs, long events)
    {
        if (depth == rungs.Length)
        {
            Array.Resize(ref rungs, depth + 1);
            rungs[depth] = new Rung(pool);
        }

        // The width is a power of two: there may be twice as many buckets as were asked for.
        long buckets = Math.Max(2, events / EventsPerBucket);
        buckets = buckets <= 2 * MostBuckets ? Math.Min(buckets, MostBuckets / 2) : CoarseBuckets / 2;
        Rung rung = rungs[depth++];
        rung.Cover(fromNs, endNs, BitOperations.Log2((ulong)((endNs - fromNs) / buckets) | 1));
        return rung;
    }

    /// <summary>How many events a stretch of time will see, if it goes on as it went since the top was spread last.</summary>
    private long Expected(long spanNs)
    {
        uint popped = nextSequence - (uint)Count;
        double perNs = (popped - spreadPopped) / (double)Math.Max(1, NowNs - spreadNs);
        (spreadPopped, spreadNs) = (popped, NowNs);
        return (long)Math.Min(perNs * spanNs, topCount * 16.0);
    }
}
