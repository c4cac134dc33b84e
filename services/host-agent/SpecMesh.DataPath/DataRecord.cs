using System.Buffers.Binary;

namespace SpecMesh.DataPath;

/// <summary>
/// Builds records of pages in one buffer that is used again and again. Pages are copied out of the guest first, and hashed and sent from the copy: a live page changes
/// between the two. Head and descriptors are laid down just before the pages, so that one send writes it all.
/// </summary>
internal sealed class DataRecord : IDisposable
{
    /// <summary>Most pages that one record describes, so that a stretch of zeros does not keep the sender from noticing that it should stop.</summary>
    private const int MaxDescribedPages = 16_384;

    private const int PayloadAt = RecordFormat.HeaderBytes + (RecordFormat.MaxDescriptors * sizeof(ulong));

    private readonly IGuestMemory memory;
    private readonly ImageDigest digest;
    private readonly int maxPages;
    private byte[] buffer;
    private readonly ulong[] descriptors = new ulong[RecordFormat.MaxDescriptors];
    private readonly ulong[] hashes = new ulong[RecordFormat.MaxPages];
    private int runs;
    private long runFirst;
    private int runLength;
    private bool runIsZero;
    private int copied;

    /// <param name="memory">Where pages come from.</param>
    /// <param name="digest">Digest of everything sent; every page that enters a record enters it.</param>
    /// <param name="chunkBytes">Bytes of pages in one record: a multiple of the page size, at most 1 MiB.</param>
    public DataRecord(IGuestMemory memory, ImageDigest digest, int chunkBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(chunkBytes % IGuestMemory.PageBytes, 0);
        ArgumentOutOfRangeException.ThrowIfLessThan(chunkBytes, IGuestMemory.PageBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(chunkBytes, RecordFormat.MaxDataBytes);
        this.memory = memory;
        this.digest = digest;
        maxPages = chunkBytes / IGuestMemory.PageBytes;
        buffer = StagingBuffers.Take(PayloadAt + chunkBytes);
    }

    /// <summary>Pages that the record describes.</summary>
    public int Pages { get; private set; }

    /// <summary>How many of them are zero and travel as a mark.</summary>
    public int ZeroPages => Pages - copied;

    /// <summary>Bytes of the record on the wire.</summary>
    public int WireBytes => RecordFormat.HeaderBytes + (runs * sizeof(ulong)) + (copied * IGuestMemory.PageBytes);

    /// <summary>Fills the record with taken pages from <paramref name="from"/> on.</summary>
    /// <returns>Page to go on from; the record is empty when no page is left.</returns>
    public long Fill(PageBitmap taken, long from)
    {
        (runs, runLength, copied, Pages) = (0, 0, 0, 0);
        while (copied < maxPages && Pages < MaxDescribedPages)
        {
            // Each page may open a descriptor of its own, and the last one is still open.
            int room = Math.Min(maxPages - copied, RecordFormat.MaxDescriptors - runs - 1);
            (long first, int count) = room > 0 ? taken.NextRun(from, room) : (0, 0);
            if (count == 0)
            {
                break;
            }

            Copy(first, count);
            from = first + count;
        }

        CloseRun();
        return from;
    }

    /// <summary>Lays down head and descriptors.</summary>
    /// <returns>The record as it goes on the wire, valid until the next <see cref="Fill"/>.</returns>
    public ReadOnlySpan<byte> Seal(ulong sequence)
    {
        int start = PayloadAt - (runs * sizeof(ulong)) - RecordFormat.HeaderBytes;
        Span<byte> record = buffer.AsSpan(start, PayloadAt - start + (copied * IGuestMemory.PageBytes));
        RecordFormat.WriteHeader(record, new RecordHeader(RecordType.Data, runs, 0, copied * IGuestMemory.PageBytes, sequence));
        for (int i = 0; i < runs; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(record[(RecordFormat.HeaderBytes + (i * sizeof(ulong)))..], descriptors[i]);
        }

        uint crc = RecordFormat.Crc(RecordFormat.CheckOfHeader(record), descriptors.AsSpan(0, runs));
        crc = RecordFormat.Crc(crc, hashes.AsSpan(0, copied));
        BinaryPrimitives.WriteUInt32LittleEndian(record[RecordFormat.CheckOffset..], ~crc);
        return record;
    }

    /// <summary>Lends the buffer to the next migration stream. Nothing may be filled or sealed any more.</summary>
    public void Dispose()
    {
        StagingBuffers.GiveBack(buffer);
        buffer = [];
    }

    private void Copy(long first, int count)
    {
        Span<byte> staged = buffer.AsSpan(PayloadAt + (copied * IGuestMemory.PageBytes), count * IGuestMemory.PageBytes);
        memory.Read(first, staged);
        for (int i = 0; i < count; i++)
        {
            Span<byte> page = staged.Slice(i * IGuestMemory.PageBytes, IGuestMemory.PageBytes);
            bool zero = !page.ContainsAnyExcept((byte)0);
            ulong hash = zero ? PageHash.OfZeroPage : PageHash.Compute(page);
            if (!zero)
            {
                // Zero pages leave gaps in the staging area, which the pages behind them close.
                Span<byte> slot = buffer.AsSpan(PayloadAt + (copied * IGuestMemory.PageBytes), IGuestMemory.PageBytes);
                if (slot != page)
                {
                    page.CopyTo(slot);
                }

                hashes[copied++] = hash;
            }

            digest.Set(first + i, hash);
            Describe(first + i, zero);
        }
    }

    private void Describe(long page, bool zero)
    {
        if (runLength > 0 && zero == runIsZero && page == runFirst + runLength)
        {
            runLength++;
        }
        else
        {
            CloseRun();
            (runFirst, runLength, runIsZero) = (page, 1, zero);
        }

        Pages++;
    }

    private void CloseRun()
    {
        if (runLength > 0)
        {
            descriptors[runs++] = RecordFormat.Descriptor(runFirst, runLength, runIsZero);
            runLength = 0;
        }
    }
}
