using System.Buffers.Binary;
using System.Numerics;

namespace SpecMesh.DataPath;

/// <summary>Types of records of a migration stream. S: written by the source, T: by the target. The README has the payloads.</summary>
internal enum RecordType : byte
{
    /// <summary>S: who I am, and my nonce.</summary>
    Hello = 1,

    /// <summary>T: my nonce, and the proof that I have the token.</summary>
    Challenge = 2,

    /// <summary>S: the proof that I have the token.</summary>
    Proof = 3,

    /// <summary>T: send.</summary>
    Welcome = 4,

    /// <summary>S: pages.</summary>
    Data = 16,

    /// <summary>S: a round's pages are all sent.</summary>
    RoundEnd = 17,

    /// <summary>T: bytes applied so far, and whether they end a round.</summary>
    Ack = 18,

    /// <summary>S: the image of this incarnation is all sent; its digest.</summary>
    Complete = 19,

    /// <summary>T: the image is verified.</summary>
    Ready = 20,

    /// <summary>S: the guest runs again; the image is void.</summary>
    Void = 21,

    /// <summary>T: understood, I hold no complete image.</summary>
    Voided = 22,

    /// <summary>S: you may try to become the owner.</summary>
    Vote = 23,

    /// <summary>T: I am the owner and run the guest.</summary>
    Resumed = 24,

    /// <summary>T: I did not become the owner; why.</summary>
    Refused = 25,

    /// <summary>S or T: the migration stream ends; why.</summary>
    Abort = 26,

    /// <summary>S: what my guest is; once, before the first page.</summary>
    Setup = 27,

    /// <summary>S: state of my guest's processors; at most once per image, right before it is complete.</summary>
    State = 28,
}

/// <summary>
/// The fixed head of every record, 32 bytes, little endian: magic u32, version u8, type u8, flags u16 (0), descriptors u32, check u32, payload bytes u64, sequence u64.
/// </summary>
/// <param name="Type">Type of the record.</param>
/// <param name="Descriptors">Number of u64 descriptors that follow; 0 unless the record carries pages.</param>
/// <param name="Check">See <see cref="RecordFormat"/>.</param>
/// <param name="PayloadBytes">Bytes after the descriptors.</param>
/// <param name="Sequence">Position in this direction of the migration stream, from 0, without gaps.</param>
internal readonly record struct RecordHeader(RecordType Type, int Descriptors, uint Check, int PayloadBytes, ulong Sequence);

/// <summary>
/// Bytes and limits of the migration stream's records. The check is the CRC-32C of head (with a check of 0), descriptors and payload; for pages each page of the payload
/// enters as its 64-bit <see cref="PageHash"/> instead of its bytes, so that one pass over a page serves the check and the image's digest.
/// </summary>
internal static class RecordFormat
{
    public const int HeaderBytes = 32;
    public const uint Magic = 0x4D_4D_50_53; // "SPMM"
    public const byte Version = 2;
    public const int CheckOffset = 12;

    /// <summary>Most pages that one record carries as bytes: 1 MiB.</summary>
    public const int MaxPages = 256;
    public const int MaxDescriptors = 4096;
    public const int MaxDataBytes = MaxPages * IGuestMemory.PageBytes;

    /// <summary>Most bytes of a driver's own that one record carries: with the number of pages before them, as much as pages do.</summary>
    public const int MaxBlobBytes = MaxDataBytes - sizeof(long);

    /// <summary>Longest text that an abort or a refusal carries, in bytes of UTF-8.</summary>
    public const int MaxTextBytes = 512;

    private const ulong PageMask = (1UL << 40) - 1;
    private const int RunShift = 40;
    private const ulong RunMask = (1UL << 23) - 1;
    private const ulong ZeroFlag = 1UL << 63;

    /// <summary>Longest run of one descriptor, in pages.</summary>
    public const int MaxRun = (int)RunMask;

    public static void WriteHeader(Span<byte> to, RecordHeader header)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Magic);
        to[4] = Version;
        to[5] = (byte)header.Type;
        BinaryPrimitives.WriteUInt16LittleEndian(to[6..], 0);
        BinaryPrimitives.WriteUInt32LittleEndian(to[8..], (uint)header.Descriptors);
        BinaryPrimitives.WriteUInt32LittleEndian(to[CheckOffset..], header.Check);
        BinaryPrimitives.WriteUInt64LittleEndian(to[16..], (ulong)header.PayloadBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(to[24..], header.Sequence);
    }

    /// <summary>Reads a head and refuses one that breaks a limit of its type, before anything of that size is read or allocated.</summary>
    /// <exception cref="MigrationException">Malformed.</exception>
    public static RecordHeader ReadHeader(ReadOnlySpan<byte> from)
    {
        Require(BinaryPrimitives.ReadUInt32LittleEndian(from) == Magic, "magic number");
        Require(from[4] == Version, "version");
        RecordType type = (RecordType)from[5];
        Require(BinaryPrimitives.ReadUInt16LittleEndian(from[6..]) == 0, "flags");
        uint descriptors = BinaryPrimitives.ReadUInt32LittleEndian(from[8..]);
        ulong payload = BinaryPrimitives.ReadUInt64LittleEndian(from[16..]);
        if (type == RecordType.Data)
        {
            Require(descriptors is > 0 and <= MaxDescriptors, "number of descriptors");
            Require(payload <= MaxDataBytes && payload % IGuestMemory.PageBytes == 0, "payload length");
        }
        else
        {
            (int shortest, int longest) = PayloadLimits(type);
            Require(descriptors == 0, "number of descriptors");
            Require(payload >= (ulong)shortest && payload <= (ulong)longest, "payload length");
        }

        return new RecordHeader(
            type, (int)descriptors, BinaryPrimitives.ReadUInt32LittleEndian(from[CheckOffset..]), (int)payload, BinaryPrimitives.ReadUInt64LittleEndian(from[24..]));
    }

    /// <summary>CRC-32C (Castagnoli), continued from <paramref name="crc"/>, without the customary inversions at the ends of each part.</summary>
    public static uint Crc(uint crc, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }

        foreach (byte value in bytes)
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return crc;
    }

    /// <summary>CRC-32C over 64-bit numbers as they would lie in little-endian memory.</summary>
    public static uint Crc(uint crc, ReadOnlySpan<ulong> numbers)
    {
        foreach (ulong number in numbers)
        {
            crc = BitOperations.Crc32C(crc, number);
        }

        return crc;
    }

    /// <summary>The part of the check that covers a head, whatever its check field says.</summary>
    public static uint CheckOfHeader(ReadOnlySpan<byte> header)
    {
        Span<byte> copy = stackalloc byte[HeaderBytes];
        header[..HeaderBytes].CopyTo(copy);
        BinaryPrimitives.WriteUInt32LittleEndian(copy[CheckOffset..], 0);
        return Crc(uint.MaxValue, copy);
    }

    /// <summary>A run of pages: page number in 40 bits, length in 23, and whether all of them are zero.</summary>
    public static ulong Descriptor(long first, int count, bool zero) =>
        (ulong)first | ((ulong)count << RunShift) | (zero ? ZeroFlag : 0);

    /// <summary>The reverse of <see cref="Descriptor"/>. Nothing is checked here: the page count is not known.</summary>
    public static (long First, int Count, bool Zero) Run(ulong descriptor) =>
        ((long)(descriptor & PageMask), (int)((descriptor >> RunShift) & RunMask), (descriptor & ZeroFlag) != 0);

    private static (int Shortest, int Longest) PayloadLimits(RecordType type) => type switch
    {
        RecordType.Hello => (Handshake.HelloBytes(0), Handshake.HelloBytes(ReplicaIdentity.MaxVmIdBytes)),
        RecordType.Challenge => (ReplicaToken.NonceBytes + ReplicaToken.Bytes, ReplicaToken.NonceBytes + ReplicaToken.Bytes),
        RecordType.Proof => (ReplicaToken.Bytes, ReplicaToken.Bytes),
        RecordType.Welcome => (0, 0),
        RecordType.RoundEnd => (RoundEnd.Bytes, RoundEnd.Bytes),
        RecordType.Ack => (Ack.Bytes, Ack.Bytes),
        RecordType.Complete => (Complete.Bytes, Complete.Bytes),
        RecordType.Ready => (Ready.Bytes, Ready.Bytes),
        RecordType.Vote => (Vote.Bytes, Vote.Bytes),
        RecordType.Void or RecordType.Voided or RecordType.Resumed => (4, 4),
        RecordType.Refused or RecordType.Abort => (0, MaxTextBytes),
        RecordType.Setup => (sizeof(long), sizeof(long) + MaxBlobBytes),
        RecordType.State => (1, MaxBlobBytes),
        _ => throw new MigrationException(MigrationFault.Malformed, $"There is no record type {(byte)type}."),
    };

    private static void Require(bool valid, string field)
    {
        if (!valid)
        {
            throw new MigrationException(MigrationFault.Malformed, $"A record has an impossible {field}.");
        }
    }
}
