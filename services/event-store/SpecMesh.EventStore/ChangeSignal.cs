namespace SpecMesh.EventStore;

/// <summary>Tells everybody in this process who waits that something was committed.</summary>
internal sealed class ChangeSignal(TimeProvider clock, TimeSpan poll)
{
    private TaskCompletionSource next = New();

    /// <summary>Called after a commit, never inside it: a reader that woke earlier would find nothing and sleep again.</summary>
    public void Set() => Interlocked.Exchange(ref next, New()).TrySetResult();

    /// <summary>Listens from the moment of the call. Completes at the latest after the poll interval, because other processes commit too and cannot signal here.</summary>
    public async Task WaitAsync(TimeSpan atMost, CancellationToken cancellationToken)
    {
        TimeSpan limit = atMost < poll ? atMost : poll;
        Task signalled = Volatile.Read(ref next).Task;
        if (limit <= TimeSpan.Zero)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return;
        }

        using CancellationTokenSource done = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await Task.WhenAny(signalled, Task.Delay(limit, clock, done.Token));
        await done.CancelAsync();
        cancellationToken.ThrowIfCancellationRequested();
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
