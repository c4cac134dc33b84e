using System.Runtime.InteropServices;
using SpecMesh.DataPath;

namespace SpecMesh.Hypervisors.Process.Guest;

/// <summary>
/// Page 0 of a guest: all of its execution state, so that a guest goes on counting wherever its memory is. Little-endian words; the rest of the page is zero.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GuestHeader
{
    /// <summary>"SMGUEST1".</summary>
    public const ulong ExpectedMagic = 0x3154534555474D53;

    public const int WritingOffset = 48;
    public const int StepsOffset = 56;

    public ulong Magic;
    public ulong Seed;
    public ulong PageCount;
    public double WritePagesPerSecond;

    /// <summary>Pages 1 to this number, inclusive, held content at power-on.</summary>
    public ulong InitialisedPages;

    /// <summary>Hash of the fields above, which never change.</summary>
    public ulong Seal;

    /// <summary>The step that is being written, or that was written last.</summary>
    public ulong Writing;

    /// <summary>Steps completed.</summary>
    public ulong Steps;

    public readonly ulong ExpectedSeal =>
        Mix64.Of(Mix64.Of(Magic, Seed, PageCount), BitConverter.DoubleToUInt64Bits(WritePagesPerSecond), InitialisedPages);

    /// <summary>Why these bytes are no guest of so many pages; null when they are one.</summary>
    public readonly string? Fault(long pageCount)
    {
        if (Magic != ExpectedMagic || Seal != ExpectedSeal)
        {
            return "the memory holds no guest";
        }

        if (PageCount != (ulong)pageCount || InitialisedPages >= PageCount)
        {
            return $"the memory holds a guest of {PageCount} pages, not of {pageCount}";
        }

        return Writing - Steps > 1 ? $"the guest's counters, {Steps} steps done and step {Writing} begun, do not fit together" : null;
    }

    public static GuestHeader Read(ReadOnlySpan<byte> page) => MemoryMarshal.Read<GuestHeader>(page);
}

/// <summary>The content of a guest's pages: a function of the seed, the page and the step that wrote it.</summary>
internal static class GuestImage
{
    /// <summary>Fewest pages of a guest: enough for its header, a hot part and the rest.</summary>
    public const int MinimumPages = 16;

    public const int WordsPerPage = IGuestMemory.PageBytes / sizeof(ulong);

    /// <summary>Fills a page with what <paramref name="step"/> writes; step 0 is power-on.</summary>
    public static void Fill(Span<ulong> page, ulong seed, long number, long step)
    {
        ulong state = Mix64.Of(seed, (ulong)number, (ulong)step);
        for (int i = 0; i < page.Length; i++)
        {
            state += Mix64.Increment;
            ulong word = (state ^ (state >> 32)) * 0xD6E8FEB86659FD93;
            page[i] = word ^ (word >> 32);
        }
    }

    /// <summary>Fills a page with what it must hold when <paramref name="step"/> wrote it last, 0 for never.</summary>
    public static void FillExpected(Span<ulong> page, in GuestHeader header, long number, long step)
    {
        if (step == 0 && (ulong)number > header.InitialisedPages)
        {
            page.Clear();
        }
        else
        {
            Fill(page, header.Seed, number, step);
        }
    }

    /// <summary>The header of a machine that has just been powered on.</summary>
    public static GuestHeader PowerOn(ulong seed, long pageCount, double writePagesPerSecond, double initialisedFraction)
    {
        GuestHeader header = new()
        {
            Magic = GuestHeader.ExpectedMagic,
            Seed = seed,
            PageCount = (ulong)pageCount,
            WritePagesPerSecond = writePagesPerSecond,
            InitialisedPages = (ulong)Math.Clamp((long)(pageCount * initialisedFraction), 0, pageCount - 1),
        };
        header.Seal = header.ExpectedSeal;
        return header;
    }
}
