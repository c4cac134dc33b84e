using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace SpecMesh.DataPath;

/// <summary>
/// Reads and writes whole records on a connection, blocking. Reading is for one thread; writing may be done by several. Buffers are allocated once: a kilobyte at first,
/// the room for pages and for what a driver says with the first of them, which may come after <see cref="AllowData"/>: that is called when the peer has proved itself.
/// </summary>
internal sealed class RecordConnection(Stream connection)
{
    private const int ControlBytes = 1024;

    private readonly byte[] head = new byte[RecordFormat.HeaderBytes];
    private readonly Lock writing = new();
    private readonly byte[] outgoing = new byte[RecordFormat.HeaderBytes + ControlBytes];
    private readonly ulong[] pageHashes = new ulong[RecordFormat.MaxPages];
    private byte[] payload = new byte[ControlBytes];
    private ulong[] descriptors = [];
    private RecordHeader current;
    private ulong nextIncoming;
    private ulong nextOutgoing;
    private bool dataAllowed;

    /// <summary>Called with the number of bytes that are about to be read, at most <see cref="ReadSlice"/>: may block, to read slowly, or throw, to break the connection.</summary>
    public Action<int>? BeforeRead { get; set; }

    /// <summary>Payload of the last record, until the next is read.</summary>
    public ReadOnlySpan<byte> Payload => payload.AsSpan(0, current.PayloadBytes);

    /// <summary>Descriptors of the last record.</summary>
    public ReadOnlySpan<ulong> Descriptors => descriptors.AsSpan(0, current.Descriptors);

    /// <summary>Hashes of the pages in the last record's payload.</summary>
    public ReadOnlySpan<ulong> PageHashes => pageHashes.AsSpan(0, current.Type == RecordType.Data ? current.PayloadBytes / IGuestMemory.PageBytes : 0);

    /// <summary>Bytes of the last record on the wire.</summary>
    public int RecordBytes => RecordFormat.HeaderBytes + (current.Descriptors * sizeof(ulong)) + current.PayloadBytes;

    /// <summary>Most bytes that are asked from the connection at once.</summary>
    public static int ReadSlice => 64 * 1024;

    /// <summary>From here on pages may come, and what a driver says beside them.</summary>
    public void AllowData()
    {
        dataAllowed = true;
        descriptors = new ulong[RecordFormat.MaxDescriptors];
    }

    /// <summary>Reads the next record, which must be of this type.</summary>
    public void Read(RecordType expected)
    {
        RecordType type = Read();
        if (type == RecordType.Abort)
        {
            throw new MigrationException(MigrationFault.AbortedByPeer, RecordText.Read(Payload));
        }

        if (type != expected)
        {
            throw new MigrationException(MigrationFault.OutOfOrder, $"A {type} record came where {expected} was expected.");
        }
    }

    /// <summary>Reads the next record: its limits are checked before its size is believed, its number and check before it is given out.</summary>
    /// <exception cref="MigrationException">The record is bad, or the connection ended.</exception>
    public RecordType Read()
    {
        ReadExactly(head);
        RecordHeader header = RecordFormat.ReadHeader(head);
        if (header.Type is RecordType.Data or RecordType.Setup or RecordType.State && !dataAllowed)
        {
            throw new MigrationException(MigrationFault.Unauthenticated, $"A {header.Type} record came before the handshake had ended.");
        }

        if (header.Sequence != nextIncoming)
        {
            throw new MigrationException(MigrationFault.OutOfOrder, $"Record {header.Sequence} came where {nextIncoming} was expected.");
        }

        Span<ulong> runs = descriptors.AsSpan(0, header.Descriptors);
        ReadExactly(MemoryMarshal.AsBytes(runs));
        if (!BitConverter.IsLittleEndian)
        {
            BinaryPrimitives.ReverseEndianness(runs, runs);
        }

        if (header.PayloadBytes > payload.Length)
        {
            payload = GC.AllocateUninitializedArray<byte>(RecordFormat.MaxDataBytes);
        }

        Span<byte> body = payload.AsSpan(0, header.PayloadBytes);
        ReadExactly(body);
        uint crc = RecordFormat.Crc(RecordFormat.CheckOfHeader(head), runs);
        crc = header.Type == RecordType.Data ? RecordFormat.Crc(crc, HashPages(body)) : RecordFormat.Crc(crc, body);
        if (~crc != header.Check)
        {
            throw new MigrationException(MigrationFault.Corrupt, $"Record {header.Sequence} ({header.Type}) was damaged on its way.");
        }

        nextIncoming++;
        current = header;
        return header.Type;
    }

    /// <summary>Writes a record without pages.</summary>
    public void Write(RecordType type, ReadOnlySpan<byte> body)
    {
        lock (writing)
        {
            // Only what a driver says is longer, and that is written once or once per image.
            int length = RecordFormat.HeaderBytes + body.Length;
            Span<byte> record = length <= outgoing.Length ? outgoing.AsSpan(0, length) : new byte[length];
            RecordFormat.WriteHeader(record, new RecordHeader(type, 0, 0, body.Length, nextOutgoing));
            body.CopyTo(record[RecordFormat.HeaderBytes..]);
            uint crc = RecordFormat.Crc(RecordFormat.CheckOfHeader(record), body);
            BinaryPrimitives.WriteUInt32LittleEndian(record[RecordFormat.CheckOffset..], ~crc);
            Send(record);
        }
    }

    /// <summary>Writes a record with pages.</summary>
    /// <returns>Bytes written.</returns>
    public int WriteData(DataRecord data)
    {
        lock (writing)
        {
            ReadOnlySpan<byte> record = data.Seal(nextOutgoing);
            Send(record);
            return record.Length;
        }
    }

    private void Send(ReadOnlySpan<byte> record)
    {
        try
        {
            connection.Write(record);
        }
        catch (Exception failure) when (failure is IOException or ObjectDisposedException)
        {
            throw new MigrationException(MigrationFault.ConnectionLost, "The connection broke while sending.", failure);
        }

        nextOutgoing++;
    }

    private ReadOnlySpan<ulong> HashPages(ReadOnlySpan<byte> pages)
    {
        int count = pages.Length / IGuestMemory.PageBytes;
        for (int i = 0; i < count; i++)
        {
            pageHashes[i] = PageHash.Compute(pages.Slice(i * IGuestMemory.PageBytes, IGuestMemory.PageBytes));
        }

        return pageHashes.AsSpan(0, count);
    }

    private void ReadExactly(Span<byte> into)
    {
        while (into.Length > 0)
        {
            Span<byte> slice = into[..Math.Min(into.Length, ReadSlice)];
            BeforeRead?.Invoke(slice.Length);
            int read;
            try
            {
                read = connection.Read(slice);
            }
            catch (Exception failure) when (failure is IOException or ObjectDisposedException)
            {
                throw new MigrationException(MigrationFault.ConnectionLost, "The connection broke while receiving.", failure);
            }

            if (read == 0)
            {
                throw new MigrationException(MigrationFault.ConnectionLost, "The peer closed the connection.");
            }

            into = into[read..];
        }
    }
}
