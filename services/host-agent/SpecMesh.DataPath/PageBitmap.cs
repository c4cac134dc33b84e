using System.Numerics;

namespace SpecMesh.DataPath;

/// <summary>One bit per page. Not safe for concurrent use: its owner holds a lock.</summary>
/// <param name="pageCount">Number of pages, above 0.</param>
public sealed class PageBitmap(long pageCount)
{
    private readonly ulong[] words = new ulong[checked((int)((pageCount + 63) / 64))];

    /// <summary>Number of pages.</summary>
    public long PageCount { get; } = pageCount;

    /// <summary>Number of pages that are set. Costs a pass over the bitmap: 32 KiB per GiB of guest.</summary>
    public long PopCount
    {
        get
        {
            long count = 0;
            foreach (ulong word in words)
            {
                count += BitOperations.PopCount(word);
            }

            return count;
        }
    }

    /// <summary>The words, 64 pages each, the lowest page in the lowest bit. Bits past <see cref="PageCount"/> stay clear.</summary>
    public Span<ulong> Words => words;

    /// <summary>True when the page is set.</summary>
    public bool this[long page] => (words[page >> 6] & (1UL << (int)(page & 63))) != 0;

    /// <summary>True when no page is set.</summary>
    public bool IsEmpty => !words.AsSpan().ContainsAnyExcept(0UL);

    /// <summary>Sets one page.</summary>
    public void Set(long page)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)page, (ulong)PageCount);
        words[page >> 6] |= 1UL << (int)(page & 63);
    }

    /// <summary>Sets <paramref name="count"/> pages from <paramref name="first"/> on.</summary>
    public void SetRange(long first, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)first, (ulong)(PageCount - count));
        while (count > 0)
        {
            int bit = (int)(first & 63);
            int take = (int)Math.Min(64 - bit, count);
            ulong mask = take == 64 ? ulong.MaxValue : ((1UL << take) - 1) << bit;
            words[first >> 6] |= mask;
            first += take;
            count -= take;
        }
    }

    /// <summary>Sets every page.</summary>
    public void SetAll() => SetRange(0, PageCount);

    /// <summary>Clears every page.</summary>
    public void Clear() => words.AsSpan().Clear();

    /// <summary>Sets every page that is set in <paramref name="other"/>.</summary>
    public void Or(PageBitmap other)
    {
        if (other.PageCount != PageCount)
        {
            throw new ArgumentException($"A bitmap of {other.PageCount} pages does not fit one of {PageCount}.", nameof(other));
        }

        for (int i = 0; i < words.Length; i++)
        {
            words[i] |= other.words[i];
        }
    }

    /// <summary>First set run of pages at or after <paramref name="from"/>, at most <paramref name="limit"/> long; a count of 0 when there is none.</summary>
    public (long First, int Count) NextRun(long from, int limit)
    {
        long first = NextSet(from);
        if (first < 0)
        {
            return (PageCount, 0);
        }

        long end = first + 1;
        long stop = Math.Min(PageCount, first + limit);
        while (end < stop && this[end])
        {
            end++;
        }

        return (first, (int)(end - first));
    }

    private long NextSet(long from)
    {
        if (from >= PageCount)
        {
            return -1;
        }

        int index = (int)(from >> 6);
        ulong word = words[index] & (ulong.MaxValue << (int)(from & 63));
        while (word == 0)
        {
            if (++index == words.Length)
            {
                return -1;
            }

            word = words[index];
        }

        return ((long)index << 6) + BitOperations.TrailingZeroCount(word);
    }
}
