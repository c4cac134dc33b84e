namespace SpecMesh.DataPath.Bench;

/// <summary>Guest memory in an array, and a log that reports what the benchmark says was written.</summary>
internal sealed class ArrayGuest(int pageCount) : IGuestMemory, IDirtyLog, IImageShell
{
    private readonly byte[] bytes = GC.AllocateArray<byte>(pageCount * IGuestMemory.PageBytes, pinned: true);
    private readonly PageBitmap dirty = new(pageCount);

    public long PageCount => pageCount;

    public long MemoryBytes => bytes.LongLength;

    public string Name => "array";

    public ReadOnlySpan<byte> Bytes => bytes;

    /// <summary>Fills a share of the pages with random bytes and leaves the rest zero.</summary>
    public void Populate(double share, int seed)
    {
        Random random = new(seed);
        for (int page = 0; page < pageCount * share; page++)
        {
            random.NextBytes(bytes.AsSpan(page * IGuestMemory.PageBytes, IGuestMemory.PageBytes));
        }
    }

    /// <summary>Touches every page, so that the first write to it is not paid in the measurement.</summary>
    public void Fill(byte value) => bytes.AsSpan().Fill(value);

    public IGuestMemory Open(long pageCount, ReadOnlySpan<byte> setup, CancellationToken cancellationToken) => this;

    public void Complete(ReadOnlySpan<byte> state, CancellationToken cancellationToken)
    {
    }

    public void Reopen()
    {
    }

    public void Read(long firstPage, Span<byte> destination) => bytes.AsSpan((int)(firstPage * IGuestMemory.PageBytes), destination.Length).CopyTo(destination);

    public void Write(long firstPage, ReadOnlySpan<byte> source) => source.CopyTo(bytes.AsSpan((int)(firstPage * IGuestMemory.PageBytes)));

    public void Zero(long firstPage, long count) => bytes.AsSpan((int)(firstPage * IGuestMemory.PageBytes), (int)(count * IGuestMemory.PageBytes)).Clear();

    public void Start() => dirty.Clear();

    public void Harvest(PageBitmap into)
    {
        into.Or(dirty);
        dirty.Clear();
    }

    public void Stop() => dirty.Clear();

    public void Dispose() => Stop();
}
