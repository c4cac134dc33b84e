namespace SpecMesh.Simulator.Engine;

/// <summary>Few events in order of their times; those of one time stay in the order in which they came.</summary>
internal static class EventOrder
{
    /// <summary>So many events are put in order by insertion.</summary>
    private const int MostSorted = 16;

    /// <summary>Puts events in order. False when they are so many that another way is shorter, unless they are of one time and in order already; then they stay as they are.</summary>
    public static bool TryEstablish(Span<SimEvent> events)
    {
        if (events.Length > MostSorted)
        {
            return AreOfOneTime(events);
        }

        for (int i = 1; i < events.Length; i++)
        {
            SimEvent moved = events[i];
            int place = i;
            for (; place > 0 && events[place - 1].TimeNs > moved.TimeNs; place--)
            {
                events[place] = events[place - 1];
            }

            events[place] = moved;
        }

        return true;
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
}
