using System.Buffers.Binary;
using System.Text;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>One record of libxc's part: its type and its body without padding.</summary>
internal sealed record XenRecord(uint Type, byte[] Body);

/// <summary>
/// A reader of xl's migration format that shares nothing with the writer: every number here is written down from the documents of Xen, and every byte must be accounted for.
/// It does with pages what a receiver does.
/// </summary>
internal sealed class XenStreamReader
{
    private const int PageBytes = 4096;
    private readonly byte[] bytes;
    private int at;

    private XenStreamReader(byte[] bytes) => this.bytes = bytes;

    public string Configuration { get; private set; } = "";

    public (uint Type, int PageShift, uint Major, uint Minor) Domain { get; private set; }

    public List<XenRecord> Records { get; } = [];

    /// <summary>Content of every page frame that the receiver has allocated. What was only allocated is null: the hypervisor's scrubbed page.</summary>
    public Dictionary<long, byte[]?> Pages { get; } = [];

    public static XenStreamReader Read(byte[] stream)
    {
        XenStreamReader reader = new(stream);
        reader.ReadXlHeader();
        reader.ReadLibxlAndImage();
        return reader;
    }

    /// <summary>What the domain reads there after the last record.</summary>
    public byte[] PageAt(long pfn) => Pages[pfn] ?? new byte[PageBytes];

    private void ReadXlHeader()
    {
        Assert.Equal("Xen saved domain, xl format\n \0 \r", Encoding.ASCII.GetString(Take(32)));
        Assert.Equal([0x04, 0x03, 0x02, 0x01], Take(4));
        Assert.Equal(3u, U32());
        Assert.Equal(0u, U32());
        uint optional = U32();
        uint length = U32();
        Assert.Equal(optional, length + 4);
        byte[] configuration = Take((int)length);
        Assert.Equal(0, configuration[^1]);
        Configuration = Encoding.UTF8.GetString(configuration[..^1]);
    }

    private void ReadLibxlAndImage()
    {
        Assert.Equal("LibxlFmt"u8.ToArray(), Take(8));
        Assert.Equal([0, 0, 0, 2, 0, 0, 0, 0], Take(8));
        Assert.Equal((1u, 0u), (U32(), U32()));

        Assert.Equal([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Take(8));
        Assert.Equal("XENF"u8.ToArray(), Take(4));
        Assert.Equal([0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0], Take(12));
        Domain = (U32(), U16(), 0, 0);
        Assert.Equal(0, U16());
        Domain = Domain with { Major = U32(), Minor = U32() };
        do
        {
            ReadRecord();
        }
        while (Records[^1].Type != 0);

        Assert.Equal((0u, 0u), (U32(), U32()));
        Assert.Equal(bytes.Length, at);
    }

    private void ReadRecord()
    {
        uint type = U32();
        uint length = U32();
        Assert.InRange(length, 0u, 128u << 20);
        byte[] body = Take((int)length);
        Assert.DoesNotContain(Take((8 - (body.Length % 8)) % 8), padding => padding != 0);
        Records.Add(new XenRecord(type, body));
        if (type == 1)
        {
            Apply(body);
        }
    }

    private void Apply(byte[] body)
    {
        int count = BinaryPrimitives.ReadInt32LittleEndian(body);
        Assert.InRange(count, 1, 1024);
        Assert.Equal(0u, BinaryPrimitives.ReadUInt32LittleEndian(body.AsSpan(4)));
        int content = 8 + (8 * count);
        HashSet<long> named = [];
        for (int i = 0; i < count; i++)
        {
            ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(body.AsSpan(8 + (8 * i)));
            long pfn = (long)(entry & 0x000f_ffff_ffff_ffff);
            Assert.True(named.Add(pfn), $"A record names page frame {pfn} twice.");
            switch (entry >> 60)
            {
                case 0x0:
                    Pages[pfn] = body.AsSpan(content, PageBytes).ToArray();
                    content += PageBytes;
                    break;
                case 0xe:
                    // Allocating what is allocated changes nothing: what was there stays.
                    Pages.TryAdd(pfn, null);
                    break;
                default:
                    Assert.Fail($"No page of a PVH domain has type {entry >> 60:x}.");
                    break;
            }
        }

        Assert.Equal(body.Length, content);
    }

    private byte[] Take(int count)
    {
        Assert.True(at + count <= bytes.Length, $"The migration stream ends at byte {bytes.Length}, in the middle of something.");
        return bytes.AsSpan((at += count) - count, count).ToArray();
    }

    private uint U32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    private int U16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(2));
}
