using System.Buffers.Binary;
using System.Text;

namespace SpecMesh.DataPath;

/// <summary>Payload of <see cref="RecordType.RoundEnd"/>: round u32, last u32 (1: the guest is suspended), pages u64, zero pages u64.</summary>
internal readonly record struct RoundEnd(int Round, bool Last, long Pages, long ZeroPages)
{
    public const int Bytes = 24;

    public void Write(Span<byte> to)
    {
        BinaryPrimitives.WriteInt32LittleEndian(to, Round);
        BinaryPrimitives.WriteInt32LittleEndian(to[4..], Last ? 1 : 0);
        BinaryPrimitives.WriteInt64LittleEndian(to[8..], Pages);
        BinaryPrimitives.WriteInt64LittleEndian(to[16..], ZeroPages);
    }

    public static RoundEnd Read(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadInt32LittleEndian(from),
        BinaryPrimitives.ReadInt32LittleEndian(from[4..]) switch
        {
            0 => false,
            1 => true,
            _ => throw new MigrationException(MigrationFault.Malformed, "A round is either the last one or not."),
        },
        BinaryPrimitives.ReadInt64LittleEndian(from[8..]),
        BinaryPrimitives.ReadInt64LittleEndian(from[16..]));
}

/// <summary>Payload of <see cref="RecordType.Ack"/>: bytes of data records applied since the beginning u64, number of rounds that are complete u32, 0 u32.</summary>
internal readonly record struct Ack(long AppliedBytes, int Rounds)
{
    public const int Bytes = 16;

    public void Write(Span<byte> to)
    {
        BinaryPrimitives.WriteInt64LittleEndian(to, AppliedBytes);
        BinaryPrimitives.WriteInt32LittleEndian(to[8..], Rounds);
        BinaryPrimitives.WriteInt32LittleEndian(to[12..], 0);
    }

    public static Ack Read(ReadOnlySpan<byte> from) => new(BinaryPrimitives.ReadInt64LittleEndian(from), BinaryPrimitives.ReadInt32LittleEndian(from[8..]));
}

/// <summary>Payload of <see cref="RecordType.Complete"/>: digest u64, incarnation u32, 0 u32, version of the machine's event stream that the image belongs to u64.</summary>
internal readonly record struct Complete(ulong Digest, int Incarnation, long OwnershipVersion)
{
    public const int Bytes = 24;

    public void Write(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(to, Digest);
        BinaryPrimitives.WriteInt32LittleEndian(to[8..], Incarnation);
        BinaryPrimitives.WriteInt32LittleEndian(to[12..], 0);
        BinaryPrimitives.WriteInt64LittleEndian(to[16..], OwnershipVersion);
    }

    public static Complete Read(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(from), BinaryPrimitives.ReadInt32LittleEndian(from[8..]), BinaryPrimitives.ReadInt64LittleEndian(from[16..]));
}

/// <summary>Payload of <see cref="RecordType.Ready"/>: operation id 16 bytes (big endian, as RFC 9562 writes it), replica u32, incarnation u32, digest u64.</summary>
internal readonly record struct Ready(Guid OperationId, int Replica, int Incarnation, ulong Digest)
{
    public const int Bytes = 32;

    public void Write(Span<byte> to)
    {
        OperationId.TryWriteBytes(to, bigEndian: true, out _);
        BinaryPrimitives.WriteInt32LittleEndian(to[16..], Replica);
        BinaryPrimitives.WriteInt32LittleEndian(to[20..], Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(to[24..], Digest);
    }

    public static Ready Read(ReadOnlySpan<byte> from) => new(
        new Guid(from[..16], bigEndian: true),
        BinaryPrimitives.ReadInt32LittleEndian(from[16..]),
        BinaryPrimitives.ReadInt32LittleEndian(from[20..]),
        BinaryPrimitives.ReadUInt64LittleEndian(from[24..]));
}

/// <summary>Payload of <see cref="RecordType.Vote"/>: version of the machine's event stream u64, incarnation u32, epoch u32.</summary>
internal readonly record struct Vote(long OwnershipVersion, int Incarnation, int Epoch)
{
    public const int Bytes = 16;

    public void Write(Span<byte> to)
    {
        BinaryPrimitives.WriteInt64LittleEndian(to, OwnershipVersion);
        BinaryPrimitives.WriteInt32LittleEndian(to[8..], Incarnation);
        BinaryPrimitives.WriteInt32LittleEndian(to[12..], Epoch);
    }

    public static Vote Read(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadInt64LittleEndian(from), BinaryPrimitives.ReadInt32LittleEndian(from[8..]), BinaryPrimitives.ReadInt32LittleEndian(from[12..]));
}

/// <summary>Payload of <see cref="RecordType.Setup"/>: number of pages u64, then what the source's driver says, at most <see cref="RecordFormat.MaxBlobBytes"/>.</summary>
internal static class Setup
{
    public static byte[] Write(long pageCount, ReadOnlySpan<byte> setup)
    {
        byte[] body = new byte[sizeof(long) + setup.Length];
        BinaryPrimitives.WriteInt64LittleEndian(body, pageCount);
        setup.CopyTo(body.AsSpan(sizeof(long)));
        return body;
    }

    /// <summary>The number of pages, bounded before anything of that size is made.</summary>
    /// <exception cref="MigrationException">There are none, or more than the guest's memory can have.</exception>
    public static long ReadPageCount(ReadOnlySpan<byte> from, long memoryBytes)
    {
        long pageCount = BinaryPrimitives.ReadInt64LittleEndian(from);
        long most = (memoryBytes / IGuestMemory.PageBytes) + (ReplicaIdentity.SlackBytes / IGuestMemory.PageBytes);
        return pageCount > 0 && pageCount <= most
            ? pageCount
            : throw new MigrationException(MigrationFault.OutOfRange, $"A guest with {memoryBytes} bytes of memory has between 1 and {most} pages, and not {pageCount}.");
    }
}

/// <summary>Texts for people in <see cref="RecordType.Abort"/> and <see cref="RecordType.Refused"/>: UTF-8, cut at <see cref="RecordFormat.MaxTextBytes"/>.</summary>
internal static class RecordText
{
    public static byte[] Write(string text)
    {
        byte[] bytes = new byte[RecordFormat.MaxTextBytes];
        Encoding.UTF8.GetEncoder().Convert(text, bytes, flush: true, out _, out int used, out _);
        return bytes[..used];
    }

    /// <summary>A peer's text is shown to people, so control characters do not survive.</summary>
    public static string Read(ReadOnlySpan<byte> from)
    {
        char[] text = Encoding.UTF8.GetString(from).ToCharArray();
        for (int i = 0; i < text.Length; i++)
        {
            text[i] = char.IsControl(text[i]) ? ' ' : text[i];
        }

        return new string(text);
    }
}
