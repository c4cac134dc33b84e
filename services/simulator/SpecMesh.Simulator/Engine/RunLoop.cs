namespace SpecMesh.Simulator.Engine;

/// <summary>What happens at an event. To be implemented by a struct, so that the loop is compiled for it and calls it directly.</summary>
public interface IEventHandler
{
    /// <summary>Carries out one event; it may push others.</summary>
    void Handle(SimEvent happened);
}

/// <summary>What a run was.</summary>
/// <param name="Events">How many events were popped, stale ones counted.</param>
/// <param name="TraceHash">Hash of all of them in their order.</param>
public readonly record struct RunSummary(long Events, ulong TraceHash);

/// <summary>Pops events in order and has them carried out.</summary>
public static class RunLoop
{
    /// <summary>Runs until the queue is empty or the next event lies at or after an end.</summary>
    /// <param name="queue">The events to come.</param>
    /// <param name="handler">What they do.</param>
    /// <param name="endNs">Events before this time happen.</param>
    /// <param name="before">What the run was until now, if this goes on with one.</param>
    public static RunSummary Run<THandler>(EventQueue queue, ref THandler handler, long endNs = long.MaxValue, RunSummary before = default)
        where THandler : struct, IEventHandler
    {
        TraceHash hash = new(before.TraceHash);
        long events = before.Events;
        while (queue.TryPopBefore(endNs, out SimEvent next))
        {
            hash.Add(next);
            events++;
            handler.Handle(next);
        }

        return new RunSummary(events, hash.Value);
    }
}
