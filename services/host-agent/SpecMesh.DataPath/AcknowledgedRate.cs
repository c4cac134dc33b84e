namespace SpecMesh.DataPath;

/// <summary>
/// Bytes per second that the target acknowledges while something is on its way to it, as a moving average over about <see cref="Window"/>. Idle time between rounds does not
/// count, or a replica that has caught up would look slow; time in which a hung target acknowledges nothing does. Safe for concurrent use.
/// </summary>
internal sealed class AcknowledgedRate(TimeProvider time)
{
    /// <summary>Time constant of the average.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromSeconds(5);

    private readonly Lock gate = new();
    private double weightedBytes;
    private double weightedSeconds;
    private long outstandingBytes;
    private long since = time.GetTimestamp();

    /// <summary>The average now; 0 before the first bytes.</summary>
    public double BytesPerSecond
    {
        get
        {
            lock (gate)
            {
                Advance();
                return weightedSeconds > 0 ? weightedBytes / weightedSeconds : 0;
            }
        }
    }

    /// <summary>Bytes are about to be handed to the connection.</summary>
    public void Sent(long bytes)
    {
        lock (gate)
        {
            Advance();
            outstandingBytes += bytes;
        }
    }

    /// <summary>The target has applied bytes.</summary>
    public void Acknowledged(long bytes)
    {
        lock (gate)
        {
            Advance();
            outstandingBytes -= bytes;
            weightedBytes += bytes;
        }
    }

    /// <summary>Bytes and busy seconds both fade with the time constant, so that their quotient is an average weighted by how long ago.</summary>
    private void Advance()
    {
        long now = time.GetTimestamp();
        double seconds = time.GetElapsedTime(since, now).TotalSeconds;
        since = now;
        if (outstandingBytes > 0 && seconds > 0)
        {
            double fade = Math.Exp(-seconds / Window.TotalSeconds);
            weightedBytes *= fade;
            weightedSeconds = (weightedSeconds * fade) + ((1 - fade) * Window.TotalSeconds);
        }
    }
}
