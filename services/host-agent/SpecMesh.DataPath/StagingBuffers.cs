using System.Collections.Concurrent;

namespace SpecMesh.DataPath;

/// <summary>
/// The large pinned buffers that pages are copied into before they are sent. Migration streams come and go, and a fresh buffer for each makes the garbage collector go through
/// everything for a few of them.
/// </summary>
internal static class StagingBuffers
{
    /// <summary>Most buffers that are kept for later.</summary>
    private const int MostSpare = 8;

    private static readonly ConcurrentBag<byte[]> Spare = [];

    /// <summary>A buffer of exactly this length, whatever it holds.</summary>
    public static byte[] Take(int bytes) => Spare.TryTake(out byte[]? spare) && spare.Length == bytes ? spare : GC.AllocateUninitializedArray<byte>(bytes, pinned: true);

    /// <summary>Takes a buffer back that nobody uses any more.</summary>
    public static void GiveBack(byte[] buffer)
    {
        if (buffer.Length > 0 && Spare.Count < MostSpare)
        {
            Spare.Add(buffer);
        }
    }
}
