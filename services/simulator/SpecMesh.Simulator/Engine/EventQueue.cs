namespace SpecMesh.Simulator.Engine;

/// <summary>The events to come, in order of their times; events of one time leave in the order in which they came.</summary>
public sealed class EventQueue
{
    private SimEvent[] heap = new SimEvent[64];
    private uint nextSequence;

    /// <summary>How many events are to come, stale ones counted.</summary>
    public int Count { get; private set; }

    /// <summary>The time of the event that was popped last.</summary>
    public long NowNs { get; private set; }

    /// <summary>Adds an event and returns its number.</summary>
    /// <param name="timeNs">When it happens; not before the event that was popped last.</param>
    /// <param name="kind">What happens, below <see cref="SimEvent.KindLimit"/>.</param>
    /// <param name="entity">To whom, below <see cref="SimEvent.EntityLimit"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The time has passed, or a number is at or above its limit.</exception>
    public uint Push(long timeNs, uint kind, uint entity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(timeNs, NowNs);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(kind, SimEvent.KindLimit);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(entity, SimEvent.EntityLimit);
        if (Count == heap.Length)
        {
            Array.Resize(ref heap, Count * 2);
        }

        SimEvent added = new(timeNs, nextSequence++, SimEvent.Pack(kind, entity));
        int place = Count++;
        while (place > 0 && Precedes(added, heap[(place - 1) / 2]))
        {
            heap[place] = heap[(place - 1) / 2];
            place = (place - 1) / 2;
        }

        heap[place] = added;
        return added.Sequence;
    }

    /// <summary>Takes the earliest event out. False when there is none.</summary>
    public bool TryPop(out SimEvent next) => TryPopBefore(long.MaxValue, out next);

    /// <summary>Takes the earliest event out when it is earlier than <paramref name="endNs"/>. False when there is none.</summary>
    public bool TryPopBefore(long endNs, out SimEvent next)
    {
        if (Count == 0 || heap[0].TimeNs >= endNs)
        {
            next = default;
            return false;
        }

        next = heap[0];
        NowNs = next.TimeNs;
        SimEvent moved = heap[--Count];
        int place = 0;
        for (int child = 1; child < Count; child = (2 * place) + 1)
        {
            child += child + 1 < Count && Precedes(heap[child + 1], heap[child]) ? 1 : 0;
            if (!Precedes(heap[child], moved))
            {
                break;
            }

            heap[place] = heap[child];
            place = child;
        }

        heap[place] = moved;
        return true;
    }

    private bool Precedes(in SimEvent a, in SimEvent b) => a.TimeNs != b.TimeNs ? a.TimeNs < b.TimeNs : a.Sequence - nextSequence < b.Sequence - nextSequence;
}
