using System.Runtime.CompilerServices;

namespace SpecMesh.Protocol.Tests.Engine;

/// <summary>
/// One run of one process, from its start to its crash: the context in which its asynchronous code goes on. After the crash nothing of it goes on, wherever it stood: that is
/// what makes every <c>await</c> a place where a process can die.
/// </summary>
internal sealed class Life(Scheduler scheduler) : SynchronizationContext
{
    /// <summary>True after the crash.</summary>
    public bool IsOver { get; private set; }

    /// <summary>What kills the process; its owner sets it.</summary>
    public Action Crash { get; init; } = () => { };

    /// <summary>The process has died.</summary>
    public void End() => IsOver = true;

    public override void Post(SendOrPostCallback d, object? state)
    {
        if (!IsOver)
        {
            scheduler.Post(this, d, state);
        }
    }

    public override void Send(SendOrPostCallback d, object? state) => throw new NotSupportedException("Nothing waits for another thread here: there is none.");

    public override SynchronizationContext CreateCopy() => this;

    /// <summary>Waits in simulated time.</summary>
    public Pausing Pause(TimeSpan pause) => new(scheduler, this, pause);

    /// <summary>Dies at this point: whoever awaits it never goes on.</summary>
    public Task DieAsync()
    {
        Crash();
        return new TaskCompletionSource().Task;
    }

    /// <summary>An awaitable without a task.</summary>
    internal readonly struct Pausing(Scheduler scheduler, Life life, TimeSpan pause) : ICriticalNotifyCompletion
    {
        public bool IsCompleted => false;

        public Pausing GetAwaiter() => this;

        public void OnCompleted(Action continuation) => scheduler.After(pause, life, continuation);

        public void UnsafeOnCompleted(Action continuation) => OnCompleted(continuation);

        public void GetResult()
        {
        }
    }
}
