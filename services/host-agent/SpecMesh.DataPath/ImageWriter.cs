namespace SpecMesh.DataPath;

/// <summary>Applies records of pages to a target's memory. A record is checked as a whole before its first page is written.</summary>
internal sealed class ImageWriter(IGuestMemory memory)
{
    private readonly ImageDigest digest = new(memory.PageCount);

    /// <summary>Digest of everything written.</summary>
    public ulong Digest => digest.Value;

    /// <summary>Pages of the image.</summary>
    public long PageCount => memory.PageCount;

    /// <summary>Pages that were written at least once.</summary>
    public long CoveredPages => digest.CoveredPages;

    /// <summary>True when every page was written at least once.</summary>
    public bool IsWhole => digest.IsWhole;

    /// <summary>Writes the pages of one record.</summary>
    /// <param name="descriptors">Runs, by ascending page number and without overlap.</param>
    /// <param name="pages">The bytes of the runs that are not zero.</param>
    /// <param name="hashes">Their hashes.</param>
    /// <returns>Number of pages, and how many of them are zero.</returns>
    /// <exception cref="MigrationException">A run is out of range or out of order, or the payload does not have the length that the runs say. Nothing was written.</exception>
    public (long Pages, long ZeroPages) Apply(ReadOnlySpan<ulong> descriptors, ReadOnlySpan<byte> pages, ReadOnlySpan<ulong> hashes)
    {
        Validate(descriptors, hashes.Length);
        long count = 0;
        int taken = 0;
        foreach (ulong descriptor in descriptors)
        {
            (long first, int length, bool zero) = RecordFormat.Run(descriptor);
            count += length;
            if (zero)
            {
                memory.Zero(first, length);
                for (int i = 0; i < length; i++)
                {
                    digest.Set(first + i, PageHash.OfZeroPage);
                }
            }
            else
            {
                memory.Write(first, pages.Slice(taken * IGuestMemory.PageBytes, length * IGuestMemory.PageBytes));
                for (int i = 0; i < length; i++)
                {
                    digest.Set(first + i, hashes[taken + i]);
                }

                taken += length;
            }
        }

        return (count, count - taken);
    }

    private void Validate(ReadOnlySpan<ulong> descriptors, int pagesInPayload)
    {
        long free = 0;
        long copied = 0;
        foreach (ulong descriptor in descriptors)
        {
            (long first, int length, bool zero) = RecordFormat.Run(descriptor);
            if (length == 0 || first > memory.PageCount - length)
            {
                throw new MigrationException(MigrationFault.OutOfRange, $"A run of {length} pages at {first} does not lie in a guest of {memory.PageCount} pages.");
            }

            if (first < free)
            {
                throw new MigrationException(MigrationFault.OutOfRange, $"A run at page {first} lies before the end of the run in front of it.");
            }

            free = first + length;
            copied += zero ? 0 : length;
        }

        if (copied != pagesInPayload)
        {
            throw new MigrationException(MigrationFault.Malformed, $"The runs need {copied} pages, and the payload has {pagesInPayload}.");
        }
    }
}
