namespace SpecMesh.Protocol.Tests.Engine;

/// <summary>
/// Simulated time and everything that is still to happen in it. One thing happens at a time, on one thread, in an order that only the seed decides. What belongs to a
/// <see cref="Life"/> that is over does not happen any more.
/// </summary>
internal sealed class Scheduler
{
    private static readonly SendOrPostCallback CallAction = static action => ((Action)action!)();

    private readonly PriorityQueue<Entry, (long At, long Order)> agenda = new();
    private readonly Queue<Entry> ready = new();
    private long order;

    /// <summary>Ticks since the simulation's start.</summary>
    public long Ticks { get; private set; }

    /// <summary>Time since the simulation's start.</summary>
    public TimeSpan Now => TimeSpan.FromTicks(Ticks);

    /// <summary>How many things have happened.</summary>
    public long Steps { get; private set; }

    /// <summary>Lets something happen that belongs to the world and not to a process.</summary>
    public void After(TimeSpan pause, Action action) => Enqueue(pause, new Entry(CallAction, action, null));

    /// <summary>Lets a process do something, if it still lives then.</summary>
    public void After(TimeSpan pause, Life life, Action action) => Enqueue(pause, new Entry(CallAction, action, life));

    /// <summary>Lets a process do something as the next thing after what is due now already.</summary>
    public void Post(Life life, SendOrPostCallback callback, object? state) => ready.Enqueue(new Entry(callback, state, life));

    /// <summary>Lets the next thing happen. False when there is none.</summary>
    public bool Step()
    {
        if (!ready.TryDequeue(out Entry next))
        {
            if (!agenda.TryDequeue(out next, out (long At, long Order) when))
            {
                return false;
            }

            Ticks = when.At;
        }

        Steps++;
        if (next.Life is { IsOver: true })
        {
            return true;
        }

        SynchronizationContext.SetSynchronizationContext(next.Life);
        next.Callback(next.State);
        return true;
    }

    private void Enqueue(TimeSpan pause, Entry entry) => agenda.Enqueue(entry, (Ticks + Math.Max(0, pause.Ticks), order++));

    private readonly record struct Entry(SendOrPostCallback Callback, object? State, Life? Life);
}
