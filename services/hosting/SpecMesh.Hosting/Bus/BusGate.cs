namespace SpecMesh.Hosting;

/// <summary>Tells whether the bus is connected and every queue of this process has its consumer.</summary>
/// <param name="isReady">Asks the bus.</param>
/// <param name="time">Clock of the wait.</param>
internal sealed class BusGate(Func<bool> isReady, TimeProvider time)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    /// <summary>True when messages can be sent and received.</summary>
    public bool IsReady => isReady();

    /// <summary>
    /// Completes when the bus is ready. Publishing earlier would lose messages: on the embedded bus and at a broker's first start a queue exists only once its consumer has connected.
    /// </summary>
    public async Task WaitUntilReadyAsync(CancellationToken cancellationToken)
    {
        while (!IsReady)
        {
            await Task.Delay(Interval, time, cancellationToken);
        }
    }
}
