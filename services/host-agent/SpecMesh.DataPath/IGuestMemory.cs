namespace SpecMesh.DataPath;

/// <summary>The memory of one guest, in pages of <see cref="PageBytes"/>, as its hypervisor lets the agent reach it.</summary>
public interface IGuestMemory
{
    /// <summary>Bytes of one page.</summary>
    public const int PageBytes = 4096;

    /// <summary>Number of pages; page numbers go from 0 to <c>PageCount - 1</c>.</summary>
    long PageCount { get; }

    /// <summary>Copies <c>destination.Length / PageBytes</c> pages out, beginning with <paramref name="firstPage"/>. The guest may be writing them meanwhile.</summary>
    void Read(long firstPage, Span<byte> destination);

    /// <summary>Copies whole pages in, beginning with <paramref name="firstPage"/>. Only for a guest that does not run.</summary>
    void Write(long firstPage, ReadOnlySpan<byte> source);

    /// <summary>Makes pages read as zero. Only for a guest that does not run.</summary>
    void Zero(long firstPage, long count);
}
