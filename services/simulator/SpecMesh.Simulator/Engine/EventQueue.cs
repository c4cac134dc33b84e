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
    /// <summary>So many events are put in order by insertion; more are spread over a finer rung.</summary>
    private const int SortedEvents = 16;

    /// <summary>A new event moves at most so many others out of its way before the bottom is spread over a rung.</summary>
    private const int LongestShift = 64;

    /// <summary>The buckets of a rung and the chunks that are being filled fit into the second cache; a bucket with too many events for its width gets a rung of its own.</summary>
    private const int MostBuckets = 8192;

    private const int EventsPerBucket = 3;

    /// <summary>So many events a bucket has when its rung is made. Twice as many will have been in it when it is taken, if new events fall where old ones are.</summary>

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
            long fromNs;
            if (depth == 0)
            {
                fromNs = NowNs;
                SpreadTop();
            }
            else if (!rungs[depth - 1].TryTake(ref bottom, out tail, out fromNs, out bottomEndNs))
            {
                depth--;
            }

            if (tail > 0)
            {
                if (tail <= ChunkPool.ChunkEvents && depth > 0)
                {
                    return true;
                }

                if (tail <= SortedEvents)
                {
                    Sort();
                    return true;
                }

                if (AreOfOneTime(bottom.AsSpan(0, tail)))
                {
                    return true;
                }

                SpreadBottom(fromNs);
            }
        }

        // Nothing is to come: whatever is pushed next belongs to the top.
        bottomEndNs = NowNs;
        return false;
    }

    private void Sort()
    {
        for (int i = 1; i < tail; i++)
        {
            SimEvent moved = bottom[i];
            int place = i;
            while (place > 0 && bottom[place - 1].TimeNs > moved.TimeNs)
            {
                bottom[place] = bottom[place - 1];
                place--;
            }

            bottom[place] = moved;
        }
    }

    private static bool AreOfOneTime(ReadOnlySpan<SimEvent> events)
    {
        foreach (ref readonly SimEvent other in events)
        {
            if (other.TimeNs != events[0].TimeNs)
            {
                return false;
            }
        }

        return true;
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

    /// <summary>Spreads most of the top over a rung, or brings it into the bottom when it is small.</summary>
    private void SpreadTop()
    {
        ReadOnlySpan<SimEvent> all = top.AsSpan(0, topCount);
        long earliestNs = long.MaxValue, latestNs = 0;
        foreach (ref readonly SimEvent pending in all)
        {
            earliestNs = Math.Min(earliestNs, pending.TimeNs);
            latestNs = Math.Max(latestNs, pending.TimeNs);
        }

        if (topCount <= SortedEvents || earliestNs == latestNs)
        {
            if (bottom.Length < topCount)
            {
                bottom = new SimEvent[top.Length];
            }

            all.CopyTo(bottom);
            tail = topCount;
            topCount = 0;
            bottomEndNs = latestNs == long.MaxValue ? latestNs : latestNs + 1;
            return;
        }

        for (int i = 0; i < Samples; i++)
        {
            samples[i] = all[(int)((long)i * topCount / Samples)].TimeNs;
        }

        Array.Sort(samples);
        long lastNs = samples[SpreadSamples];
        long endNs = lastNs == long.MaxValue ? lastNs : lastNs + 1;
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
                top[kept++] = pending;
            }
        }

        topCount = kept;
        bottomEndNs = earliestNs;
    }

    /// <summary>Makes a rung above all others in whose buckets there will be two to four events each when their time has come, unless it would take too many buckets.</summary>
    private Rung AddRung(long fromNs, long endNs, long events)
    {
        if (depth == rungs.Length)
        {
            Array.Resize(ref rungs, depth + 1);
            rungs[depth] = new Rung(pool);
        }

        long buckets = Math.Clamp(events / EventsPerBucket, 2, MostBuckets / 2);
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
