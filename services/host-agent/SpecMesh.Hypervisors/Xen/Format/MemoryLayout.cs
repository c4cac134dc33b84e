namespace SpecMesh.Hypervisors.Xen.Format;

/// <summary>Consecutive page frames of a domain that hold memory.</summary>
/// <param name="FirstPfn">The first page frame.</param>
/// <param name="Count">How many there are.</param>
public readonly record struct PfnRun(long FirstPfn, long Count);

/// <summary>
/// Which page frames of a domain hold memory. A PVH domain of 80 MiB has 20,496 of them among a million page frames, because its special pages lie just below 4 GiB. The data
/// path counts pages without the holes between: page 0 is the first page frame that holds memory, and so on.
/// </summary>
public sealed class MemoryLayout
{
    private readonly PfnRun[] runs;
    private readonly long[] firstPages;

    /// <param name="pfnCount">Number of page frames: one more than the highest that the domain may have.</param>
    /// <param name="runs">Those that hold memory, ascending and apart.</param>
    /// <exception cref="ArgumentException">There is none, or they are not in order, or not below <paramref name="pfnCount"/>.</exception>
    public MemoryLayout(long pfnCount, IReadOnlyList<PfnRun> runs)
    {
        this.runs = [.. runs];
        firstPages = new long[this.runs.Length];
        long free = 0;
        for (int i = 0; i < this.runs.Length; i++)
        {
            PfnRun run = this.runs[i];
            if (run.Count < 1 || run.FirstPfn < free || run.FirstPfn > pfnCount - run.Count)
            {
                throw new ArgumentException($"A run of {run.Count} page frames at {run.FirstPfn} does not fit into {pfnCount}, or overlaps the one before it.", nameof(runs));
            }

            firstPages[i] = PageCount;
            free = run.FirstPfn + run.Count;
            PageCount += run.Count;
        }

        PfnCount = PageCount > 0 ? pfnCount : throw new ArgumentException("No page frame holds memory.", nameof(runs));
    }

    /// <summary>Number of page frames, holes included.</summary>
    public long PfnCount { get; }

    /// <summary>Number of pages, without the holes.</summary>
    public long PageCount { get; }

    /// <summary>The page frames that hold memory.</summary>
    public IReadOnlyList<PfnRun> Runs => runs;

    /// <summary>Number of the first page of each run.</summary>
    public IReadOnlyList<long> FirstPages => firstPages;

    /// <summary>The layout of page frames that are marked as holding memory.</summary>
    /// <exception cref="ArgumentException">None is marked.</exception>
    public static MemoryLayout Of(DataPath.PageBitmap populated)
    {
        List<PfnRun> found = [];
        long at = 0;
        while (populated.NextRun(at, int.MaxValue) is (long first, int count) && count > 0)
        {
            found.Add(new PfnRun(first, count));
            at = first + count;
        }

        return new MemoryLayout(populated.PageCount, found);
    }

    /// <summary>The page frame of a page, and how many pages from it on lie in consecutive page frames; at most <paramref name="limit"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such page.</exception>
    public PfnRun FramesAt(long page, long limit)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)page, (ulong)PageCount);
        int found = Array.BinarySearch(firstPages, page);
        int index = found >= 0 ? found : ~found - 1;
        long into = page - firstPages[index];
        return new PfnRun(runs[index].FirstPfn + into, Math.Min(limit, runs[index].Count - into));
    }
}
