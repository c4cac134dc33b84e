namespace SpecMesh.DataPath;

/// <summary>What a fault injector asked for, applied to the reading of one migration stream: a token bucket that holds a tenth of a second, and a point of failure.</summary>
internal sealed class Throttle(ReceiverFaults faults, TimeProvider time, CancellationToken ended)
{
    private readonly double capacity = Math.Max(1, faults.BytesPerSecond / 10.0);
    private double tokens = Math.Max(1, faults.BytesPerSecond / 10.0);
    private long filledAt = time.GetTimestamp();
    private long received;

    /// <summary>Bytes are about to be read.</summary>
    /// <exception cref="MigrationException">The injected failure, or the session has ended while this waited.</exception>
    public void BeforeRead(int bytes)
    {
        received += bytes;
        if (faults.FailAfterBytes > 0 && received > faults.FailAfterBytes)
        {
            throw new MigrationException(MigrationFault.Injected, $"An injected fault broke the migration stream after {faults.FailAfterBytes} bytes.");
        }

        if (faults.BytesPerSecond <= 0)
        {
            return;
        }

        long now = time.GetTimestamp();
        tokens = Math.Min(capacity, tokens + (time.GetElapsedTime(filledAt, now).TotalSeconds * faults.BytesPerSecond));
        filledAt = now;

        // A read may overdraw the bucket; the debt is waited for before the next one.
        if (tokens <= 0 && ended.WaitHandle.WaitOne(TimeSpan.FromSeconds(Math.Min(-tokens / faults.BytesPerSecond, int.MaxValue / 1000))))
        {
            throw new MigrationException(MigrationFault.Aborted, "The session was closed.");
        }

        tokens -= bytes;
    }
}
