using System.Buffers.Binary;
using SpecMesh.DataPath;

namespace SpecMesh.Hypervisors.Xen.Format;

/// <summary>
/// Writes one replica of a PVH domain in the format that a stock <c>xl migrate-receive</c> reads: head, pages in any order and as often as needed, tail. One thread at a time.
/// Pages are collected in one buffer that is used again and again, so that nothing is allocated per page or record; what is collected leaves by <see cref="Flush"/>, when the
/// buffer is full, and with the tail.
/// </summary>
public sealed class XenStreamWriter
{
    /// <summary>Pages with content in one record. The stock sender puts up to 1024 there; a quarter keeps the buffer at a megabyte per replica.</summary>
    private const int MaxContentPages = 256;

    private const int HeadBytes = XenStreamFormat.RecordHeaderBytes + XenStreamFormat.PageDataHeaderBytes;
    private const int ContentAt = HeadBytes + (XenStreamFormat.MaxBatchPages * sizeof(ulong));

    private readonly Stream output;
    private readonly ZeroPages zeroPages;
    private readonly PageBitmap sentWithContent;
    private readonly ulong[] entries = new ulong[XenStreamFormat.MaxBatchPages];
    private readonly byte[] buffer = new byte[ContentAt + (MaxContentPages * IGuestMemory.PageBytes)];
    private int collected;
    private int content;
    private long lastPfn = -1;
    private Part next = Part.Head;
    private long bytesWritten;

    /// <param name="output">Where the migration stream goes. It is neither flushed nor closed here.</param>
    /// <param name="pfnCount">Number of page frames that the domain may have: one more than its highest.</param>
    /// <param name="zeroPages">How pages of zeros travel.</param>
    public XenStreamWriter(Stream output, long pfnCount, ZeroPages zeroPages)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(pfnCount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)pfnCount, XenStreamFormat.PfnMask);
        this.output = output;
        this.zeroPages = zeroPages;
        sentWithContent = new PageBitmap(pfnCount);
    }

    private enum Part
    {
        Head,
        Pages,
        Nothing,
    }

    /// <summary>Bytes handed to the output so far. May be read by any thread.</summary>
    public long BytesWritten => Volatile.Read(ref bytesWritten);

    /// <summary>Page frames that were sent as an allocation, so far.</summary>
    public long AllocatedOnly { get; private set; }

    /// <summary>Writes everything that comes before the pages.</summary>
    /// <exception cref="ArgumentException">The setup is none that a receiver accepts.</exception>
    /// <exception cref="InvalidOperationException">The head is written already.</exception>
    public void WriteHead(XenDomainSetup setup)
    {
        Expect(Part.Head, Part.Pages);
        HeadWriter.Write(Emit, setup);
    }

    /// <summary>Adds whole pages, of consecutive page frames.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The domain has no such page frames.</exception>
    public void Write(long firstPfn, ReadOnlySpan<byte> pages)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(pages.Length % IGuestMemory.PageBytes, 0);
        Check(firstPfn, pages.Length / IGuestMemory.PageBytes);
        for (int at = 0; at < pages.Length; at += IGuestMemory.PageBytes)
        {
            pages.Slice(at, IGuestMemory.PageBytes).CopyTo(AddContent(firstPfn++));
        }
    }

    /// <summary>Adds pages of zeros, of consecutive page frames.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The domain has no such page frames.</exception>
    public void Zero(long firstPfn, long count)
    {
        Check(firstPfn, count);
        for (long pfn = firstPfn; pfn < firstPfn + count; pfn++)
        {
            // Once a page frame has had content here, an allocation would leave that content in place.
            if (zeroPages == ZeroPages.AsAllocations && !sentWithContent[pfn])
            {
                AddEntry(pfn, XenStreamFormat.TypeAllocateOnly);
                AllocatedOnly++;
            }
            else
            {
                AddContent(pfn).Clear();
            }
        }
    }

    /// <summary>Hands over what is collected, as one record.</summary>
    public void Flush()
    {
        if (collected == 0)
        {
            return;
        }

        int start = ContentAt - (collected * sizeof(ulong)) - HeadBytes;
        Span<byte> record = buffer.AsSpan(start, ContentAt - start + (content * IGuestMemory.PageBytes));
        XenStreamFormat.WriteRecordHeader(record, (uint)LibxcRecord.PageData, record.Length - XenStreamFormat.RecordHeaderBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(record[XenStreamFormat.RecordHeaderBytes..], (ulong)collected);
        for (int i = 0; i < collected; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(record[(HeadBytes + (i * sizeof(ulong)))..], entries[i]);
        }

        (collected, content, lastPfn) = (0, 0, -1);
        Emit(record);
    }

    /// <summary>Hands over what is collected, and everything that comes after the pages. Only for a suspended domain whose pages are all here.</summary>
    /// <exception cref="InvalidOperationException">There is no head, or the tail is written already.</exception>
    public void WriteTail(XenDomainState state)
    {
        Expect(Part.Pages, Part.Nothing);
        Flush();
        TailWriter.Write(Emit, state);
    }

    private void Check(long firstPfn, long count)
    {
        Expect(Part.Pages, Part.Pages);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)count, (ulong)sentWithContent.PageCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)firstPfn, (ulong)(sentWithContent.PageCount - count));
    }

    private Span<byte> AddContent(long pfn)
    {
        if (content == MaxContentPages)
        {
            Flush();
        }

        AddEntry(pfn, XenStreamFormat.TypeNormal);
        sentWithContent.Set(pfn);
        return buffer.AsSpan(ContentAt + (content++ * IGuestMemory.PageBytes), IGuestMemory.PageBytes);
    }

    private void AddEntry(long pfn, ulong type)
    {
        // A record is applied as a whole: one that names a page frame twice would leave it to the receiver which content is the later.
        if (collected == XenStreamFormat.MaxBatchPages || pfn <= lastPfn)
        {
            Flush();
        }

        entries[collected++] = (ulong)pfn | type;
        lastPfn = pfn;
    }

    private void Expect(Part part, Part after)
    {
        if (next != part)
        {
            throw new InvalidOperationException($"The migration stream needs {next} next, and not {part}.");
        }

        next = after;
    }

    private void Emit(ReadOnlySpan<byte> bytes)
    {
        output.Write(bytes);
        Volatile.Write(ref bytesWritten, bytesWritten + bytes.Length);
    }
}
