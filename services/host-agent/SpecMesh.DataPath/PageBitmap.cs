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
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)count, (ulong)PageCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)first, (ulong)(PageCount - count));
        if (count == 0)
        {
            return;
        }

        int lowest = (int)(first >> 6);
        int highest = (int)((first + count - 1) >> 6);
        ulong fromFirst = ulong.MaxValue << (int)(first & 63);
        ulong toLast = ulong.MaxValue >> (63 - (int)((first + count - 1) & 63));
        if (lowest == highest)
        {
            words[lowest] |= fromFirst & toLast;
            return;
        }

        words[lowest] |= fromFirst;
        words.AsSpan(lowest + 1, highest - lowest - 1).Fill(ulong.MaxValue);
        words[highest] |= toLast;
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

        Span<ulong> into = words;
        ReadOnlySpan<ulong> from = other.words;
        int i = 0;
        for (; i <= into.Length - Vector<ulong>.Count; i += Vector<ulong>.Count)
        {
            (new Vector<ulong>(into[i..]) | new Vector<ulong>(from[i..])).CopyTo(into[i..]);
        }

        for (; i < into.Length; i++)
        {
            into[i] |= from[i];
        }
    }

    /// <summary>First set run of pages at or after <paramref name="from"/>, at most <paramref name="limit"/> long; a count of 0 when there is none.</summary>
    public (long First, int Count) NextRun(long from, int limit)
    {
        long first = Next(from, 0);
        if (first >= PageCount)
        {
            return (PageCount, 0);
        }

        long end = Math.Min(Next(first + 1, ulong.MaxValue), Math.Min(PageCount, first + limit));
        return (first, (int)(end - first));
    }

    /// <summary>First page at or after <paramref name="from"/> that is set (<paramref name="flip"/> 0) or clear (<paramref name="flip"/> all ones); at least <see cref="PageCount"/> when there is none.</summary>
    private long Next(long from, ulong flip)
    {
        int index = (int)(from >> 6);
        if (index >= words.Length)
        {
            return PageCount;
        }

        ulong word = (words[index] ^ flip) & (ulong.MaxValue << (int)(from & 63));
        if (word == 0)
        {
            int skipped = words.AsSpan(index + 1).IndexOfAnyExcept(flip);
            if (skipped < 0)
            {
                return PageCount;
            }

            index += 1 + skipped;
            word = words[index] ^ flip;
        }

        return ((long)index << 6) + BitOperations.TrailingZeroCount(word);
    }
}
