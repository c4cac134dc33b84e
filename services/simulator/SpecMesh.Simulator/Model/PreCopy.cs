using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Model;

/// <summary>When pre-copy ends.</summary>
/// <param name="StopPages">So few pages are left that the guest is suspended for them.</param>
/// <param name="MaxRounds">So many rounds were sent.</param>
/// <param name="MaxSentFactor">More than so many times the memory would be sent.</param>
public readonly record struct PreCopyLimits(int StopPages, int MaxRounds, double MaxSentFactor);

/// <summary>Pre-copy of one migration stream: it has a bitmap and rounds of its own, so what it must send again depends on how long its own last round took.</summary>
public static class PreCopy
{
    /// <summary>Bytes of a page.</summary>
    public const double PageBytes = 4096;

    /// <summary>What a guest has dirtied after so long: it writes at a rate, to pages of its working set that are as likely as each other, so pages that are dirty already count once.</summary>
    public static double DirtiedBytes(double workingSetBytes, double dirtyBytesPerSecond, double seconds) =>
        workingSetBytes <= 0 ? 0 : workingSetBytes * (1 - PortableMath.Exp(Math.Max(-700, -dirtyBytesPerSecond * seconds / workingSetBytes)));

    /// <summary>Whether the guest is suspended for what is left.</summary>
    /// <param name="limits">The rule.</param>
    /// <param name="pendingBytes">What is left.</param>
    /// <param name="roundsSent">Rounds that were sent, the first included.</param>
    /// <param name="sentBytes">Bytes of all of them.</param>
    /// <param name="memoryBytes">Memory of the machine.</param>
    public static bool Stops(in PreCopyLimits limits, double pendingBytes, int roundsSent, double sentBytes, double memoryBytes) =>
        pendingBytes <= limits.StopPages * PageBytes || roundsSent >= limits.MaxRounds || sentBytes + pendingBytes >= limits.MaxSentFactor * memoryBytes;

    /// <summary>What a migration stream sends in all, and how long it takes, when nothing shares its links.</summary>
    /// <returns>Bytes, seconds, and rounds before the guest was suspended.</returns>
    public static (double Bytes, double Seconds, int Rounds) Uncontended(in PreCopyLimits limits, double memoryBytes, double workingSetBytes, double dirtyBytesPerSecond, double bytesPerSecond)
    {
        double sent = memoryBytes, pending = DirtiedBytes(workingSetBytes, dirtyBytesPerSecond, memoryBytes / bytesPerSecond);
        int rounds = 1;
        while (!Stops(limits, pending, rounds, sent, memoryBytes))
        {
            sent += pending;
            pending = DirtiedBytes(workingSetBytes, dirtyBytesPerSecond, pending / bytesPerSecond);
            rounds++;
        }

        sent += pending;
        return (sent, sent / bytesPerSecond, rounds);
    }
}
