namespace SpecMesh.DataPath;

/// <summary>
/// A 64-bit digest of a whole image that is kept up to date page by page, so that comparing two images of any size costs nothing at the end: the sum of what
/// <see cref="PageHash.Bind"/> gives for every page. Costs 8 bytes per page. Not safe for concurrent use.
/// </summary>
/// <param name="pageCount">Number of pages of the image.</param>
internal sealed class ImageDigest(long pageCount)
{
    private readonly ulong[] pages = new ulong[pageCount];

    /// <summary>The digest of the pages that are there.</summary>
    public ulong Value { get; private set; }

    /// <summary>Number of pages that were set at least once.</summary>
    public long CoveredPages { get; private set; }

    /// <summary>True when every page was set.</summary>
    public bool IsWhole => CoveredPages == pages.LongLength;

    /// <summary>How a digest is written in events: 16 hexadecimal digits.</summary>
    public static string Format(ulong digest) => digest.ToString("x16", System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The page has this content now.</summary>
    public void Set(long page, ulong hash)
    {
        ulong bound = PageHash.Bind(page, hash);
        ref ulong slot = ref pages[page];
        CoveredPages += slot == 0 ? 1 : 0;
        Value += bound - slot;
        slot = bound;
    }
}
