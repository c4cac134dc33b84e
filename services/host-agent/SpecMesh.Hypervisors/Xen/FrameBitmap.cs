using System.Numerics;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>Turns a bitmap of page frames, as the hypervisor gives it, into one of pages.</summary>
internal static class FrameBitmap
{
    /// <summary>ORs every page whose frame is marked into <paramref name="into"/>.</summary>
    /// <returns>A marked page frame that the layout does not have; null when there is none.</returns>
    public static long? OrInto(PageBitmap into, ReadOnlySpan<ulong> frames, MemoryLayout layout)
    {
        long? stray = null;
        int run = 0;
        for (int word = 0; word < frames.Length; word++)
        {
            // Nearly all words of a domain that has little memory in many page frames are clear.
            for (ulong left = frames[word]; left != 0; left &= left - 1)
            {
                long pfn = ((long)word << 6) + BitOperations.TrailingZeroCount(left);
                while (run < layout.Runs.Count && pfn >= layout.Runs[run].FirstPfn + layout.Runs[run].Count)
                {
                    run++;
                }

                if (run < layout.Runs.Count && pfn >= layout.Runs[run].FirstPfn)
                {
                    into.Set(layout.FirstPages[run] + pfn - layout.Runs[run].FirstPfn);
                }
                else
                {
                    stray ??= pfn;
                }
            }
        }

        return stray;
    }
}
