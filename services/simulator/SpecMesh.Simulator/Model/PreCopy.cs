using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Model;

/// <summary>How memory becomes dirty while a guest writes at a rate.</summary>
public enum Dirtying
{
    /// <summary>Every page of the working set is as likely to be written to, so pages that are dirty already count once.</summary>
    Random,

    /// <summary>Pages are written to one after the other, until the whole working set is dirty: the model of SimGrid.</summary>
    Linear,
}

/// <summary>When pre-copy ends, and what it has to send again.</summary>
/// <param name="StopPages">So few pages are left that the guest is suspended for them.</param>
/// <param name="MaxRounds">So many rounds were sent.</param>
/// <param name="MaxSentFactor">More than so many times the memory would be sent.</param>
/// <param name="StopSeconds">What is left can be sent in this time at the stream's cap; 0: this does not count.</param>
/// <param name="Dirtying">How memory becomes dirty.</param>
public readonly record struct PreCopyLimits(int StopPages, int MaxRounds, double MaxSentFactor, double StopSeconds = 0, Dirtying Dirtying = Dirtying.Random);

/// <summary>Pre-copy of one migration stream: it has a bitmap and rounds of its own, so what it must send again depends on how long its own last round took.</summary>
public static class PreCopy
{
    /// <summary>Bytes of a page.</summary>
    public const double PageBytes = 4096;

    /// <summary>What a guest has dirtied after so long.</summary>
    public static double DirtiedBytes(in PreCopyLimits limits, double workingSetBytes, double dirtyBytesPerSecond, double seconds)
    {
        double written = dirtyBytesPerSecond * seconds;
        if (workingSetBytes <= 0)
        {
            return 0;
        }

        return limits.Dirtying == Dirtying.Linear
            ? Math.Min(workingSetBytes, written)
            : workingSetBytes * (1 - PortableMath.Exp(Math.Max(-700, -written / workingSetBytes)));
    }

    /// <summary>Whether the guest is suspended for what is left.</summary>
    /// <param name="limits">The rule.</param>
    /// <param name="bytesPerSecond">The stream's cap.</param>
    /// <param name="pendingBytes">What is left.</param>
    /// <param name="roundsSent">Rounds that were sent, the first included.</param>
    /// <param name="sentBytes">Bytes of all of them.</param>
    /// <param name="memoryBytes">Memory of the machine.</param>
    public static bool Stops(in PreCopyLimits limits, double bytesPerSecond, double pendingBytes, int roundsSent, double sentBytes, double memoryBytes) =>
        pendingBytes <= limits.StopPages * PageBytes
        || pendingBytes <= limits.StopSeconds * bytesPerSecond
        || roundsSent >= limits.MaxRounds
        || sentBytes + pendingBytes >= limits.MaxSentFactor * memoryBytes;

    /// <summary>What a migration stream sends in all, and how long it takes, when nothing shares its links.</summary>
    /// <returns>Bytes, seconds, and rounds before the guest was suspended.</returns>
    public static (double Bytes, double Seconds, int Rounds) Uncontended(in PreCopyLimits limits, double memoryBytes, double workingSetBytes, double dirtyBytesPerSecond, double bytesPerSecond)
    {
        double sent = memoryBytes, pending = DirtiedBytes(limits, workingSetBytes, dirtyBytesPerSecond, memoryBytes / bytesPerSecond);
        int rounds = 1;
        while (!Stops(limits, bytesPerSecond, pending, rounds, sent, memoryBytes))
        {
            sent += pending;
            pending = DirtiedBytes(limits, workingSetBytes, dirtyBytesPerSecond, pending / bytesPerSecond);
            rounds++;
        }

        sent += pending;
        return (sent, sent / bytesPerSecond, rounds);
    }
}
