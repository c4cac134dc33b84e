using System.Buffers.Binary;

namespace SpecMesh.Hypervisors.Xen.Format;

/// <summary>
/// Numbers of the three formats that a migration of a PVH domain consists of, one within the other: xl's file header (<c>tools/xl/xl.h</c>), libxl's migration format 2
/// (<c>docs/specs/libxl-migration-stream.pandoc</c>) and libxc's migration format 3 (<c>tools/libs/guest/xg_sr_stream_format.h</c>), of Xen 4.17.
/// </summary>
internal static class XenStreamFormat
{
    /// <summary>Bytes of xl's file header, without the optional data that follows it.</summary>
    public const int XlHeaderBytes = 48;

    /// <summary>Written in the sender's own byte order, so that the receiver sees it.</summary>
    public const uint XlByteOrder = 0x01020304;

    /// <summary>Mandatory flags: the configuration is JSON (1), the rest is libxl's format 2 (2).</summary>
    public const uint XlMandatoryFlags = 3;

    /// <summary><c>LibxlFmt</c> in ASCII, big endian like the whole of libxl's header.</summary>
    public const ulong LibxlIdentity = 0x4c69_6278_6c46_6d74;

    public const uint LibxlVersion = 2;

    /// <summary>libxl: what follows, up to and with its own end, is libxc's.</summary>
    public const uint LibxlLibxcContext = 1;

    public const uint LibxlEnd = 0;

    /// <summary>Of libxc's image header, which is big endian as well.</summary>
    public const ulong ImageMarker = 0xffff_ffff_ffff_ffff;

    /// <summary><c>XENF</c> in ASCII.</summary>
    public const uint ImageIdentity = 0x5845_4e46;

    public const uint ImageVersion = 3;

    /// <summary>libxc's type of every domain with hardware-assisted paging: HVM and PVH.</summary>
    public const uint DomainTypeHvm = 2;

    public const ushort PageShift = 12;

    /// <summary>Both formats begin a record with its type and its length without padding, four bytes each.</summary>
    public const int RecordHeaderBytes = 8;

    /// <summary>Bodies are padded with zeros to a multiple of this.</summary>
    public const int Alignment = 8;

    /// <summary>Most pages in one PAGE_DATA record: what the stock sender puts there (<c>MAX_BATCH_SIZE</c>).</summary>
    public const int MaxBatchPages = 1024;

    /// <summary>Bytes before the page numbers of a PAGE_DATA body: their number, and four zeros.</summary>
    public const int PageDataHeaderBytes = 8;

    /// <summary>Bits of a page number in PAGE_DATA; the four highest bits are its type.</summary>
    public const ulong PfnMask = 0x000f_ffff_ffff_ffff;

    /// <summary>Type of an ordinary page: its content follows.</summary>
    public const ulong TypeNormal = 0;

    /// <summary>Type of a page that is to be allocated and has no content in the migration stream (<c>XEN_DOMCTL_PFINFO_XALLOC</c>).</summary>
    public const ulong TypeAllocateOnly = 0xe000_0000_0000_0000;

    /// <summary>32 bytes, of which the last is no terminator.</summary>
    public static ReadOnlySpan<byte> XlMagic => "Xen saved domain, xl format\n \0 \r"u8;

    /// <summary>Lays down the header of a record.</summary>
    public static void WriteRecordHeader(Span<byte> into, uint type, int length)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(into, type);
        BinaryPrimitives.WriteUInt32LittleEndian(into[sizeof(uint)..], (uint)length);
    }

    /// <summary>Bytes of zeros that follow a body of this length.</summary>
    public static int PaddingOf(int length) => -length & (Alignment - 1);
}

/// <summary>Types of libxc's records that a PVH domain has.</summary>
internal enum LibxcRecord : uint
{
    End = 0x00,
    PageData = 0x01,
    TscInfo = 0x08,
    HvmContext = 0x09,
    HvmParams = 0x0a,
    StaticDataEnd = 0x10,
    CpuidPolicy = 0x11,
    MsrPolicy = 0x12,
}
