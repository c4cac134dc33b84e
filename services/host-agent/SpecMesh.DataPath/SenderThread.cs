using System.Collections.Concurrent;

namespace SpecMesh.DataPath;

/// <summary>
/// The dedicated thread of one migration stream: work on it may block for as long as a slow peer likes without holding up anybody else. Work is done in the order in which
/// it was given; there is never more than a few pieces, because each command of a sender waits for the one before.
/// </summary>
internal sealed class SenderThread : IDisposable
{
    private readonly BlockingCollection<Action> work = new(boundedCapacity: 8);
    private readonly Thread thread;

    public SenderThread(string name)
    {
        thread = new Thread(Run) { Name = name, IsBackground = true };
        thread.Start();
    }

    /// <summary>Processor time of the thread, as of the last time that it looked. May be read by any thread.</summary>
    public TimeSpan CpuTime => TimeSpan.FromTicks(Volatile.Read(ref cpuTicks));

    private long cpuTicks;

    /// <summary>Reads the clock of the thread, on which it must be called.</summary>
    public void SampleCpu() => Volatile.Write(ref cpuTicks, ThreadClock.Read().Ticks);

    /// <summary>Does something on the thread.</summary>
    /// <exception cref="InvalidOperationException">The thread has been told to end.</exception>
    public Task<T> RunAsync<T>(Func<T> function)
    {
        TaskCompletionSource<T> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        work.Add(() =>
        {
            try
            {
                done.SetResult(function());
            }
            catch (Exception failure)
            {
                // Whoever awaits the work gets its failure: the thread goes on for the next piece.
                done.SetException(failure);
            }

            SampleCpu();
        });
        return done.Task;
    }

    /// <summary>The thread ends after the work that it has.</summary>
    public void Dispose() => work.CompleteAdding();

    private void Run()
    {
        foreach (Action piece in work.GetConsumingEnumerable())
        {
            piece();
        }

        work.Dispose();
    }
}
