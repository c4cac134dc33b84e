using System.Buffers.Binary;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Xen.Format;
using static SpecMesh.Hypervisors.Tests.Xen.SyntheticDomain;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>What goes to a stock receiver, record by record.</summary>
public sealed class XenStreamTests
{
    // Types of libxc's records, from docs/specs/libxc-migration-stream.pandoc.
    private const uint PageData = 1;
    private const uint TscInfo = 8;
    private const uint HvmContext = 9;
    private const uint HvmParams = 10;
    private const uint StaticDataEnd = 16;
    private const uint CpuidPolicy = 17;
    private const uint MsrPolicy = 18;

    [Theory]
    [InlineData(ZeroPages.AsData)]
    [InlineData(ZeroPages.AsAllocations)]
    public void a_domain_is_written_in_the_order_that_receivers_expect(ZeroPages zeroPages)
    {
        XenStreamReader read = XenStreamReader.Read(OneRound(zeroPages));

        Assert.Equal(System.Text.Encoding.UTF8.GetString(Setup.LibxlConfiguration.Span), read.Configuration);
        Assert.Equal((2u, 12, 4u, 17u), read.Domain);
        Assert.Equal([CpuidPolicy, MsrPolicy, StaticDataEnd], read.Records.Take(3).Select(record => record.Type));
        Assert.Equal([TscInfo, HvmContext, HvmParams, 0u], read.Records.TakeLast(4).Select(record => record.Type));
        Assert.All(read.Records.Skip(3).SkipLast(4), record => Assert.Equal(PageData, record.Type));
        Assert.Equal(Setup.CpuidPolicy.ToArray(), read.Records[0].Body);
        Assert.Equal(Setup.MsrPolicy.ToArray(), read.Records[1].Body);
    }

    [Theory]
    [InlineData(ZeroPages.AsData)]
    [InlineData(ZeroPages.AsAllocations)]
    public void the_receiver_has_every_page_and_no_hole(ZeroPages zeroPages)
    {
        DataPath.Tests.SimulatedGuest guest = new(Layout.PageCount);
        guest.Populate(1);

        MustEqual(XenStreamReader.Read(OneRound(zeroPages)), guest.Bytes);
    }

    [Fact]
    public void the_state_of_the_domain_arrives_as_it_was()
    {
        XenStreamReader read = XenStreamReader.Read(OneRound(ZeroPages.AsData));

        byte[] tsc = read.Records.Single(record => record.Type == TscInfo).Body;
        Assert.Equal(24, tsc.Length);
        Assert.Equal((2u, 2_594_120u), (BinaryPrimitives.ReadUInt32LittleEndian(tsc), BinaryPrimitives.ReadUInt32LittleEndian(tsc.AsSpan(4))));
        Assert.Equal((123_456_789_012ul, 1ul), (BinaryPrimitives.ReadUInt64LittleEndian(tsc.AsSpan(8)), BinaryPrimitives.ReadUInt64LittleEndian(tsc.AsSpan(16))));
        Assert.Equal(State.HvmContext.ToArray(), read.Records.Single(record => record.Type == HvmContext).Body);
        ulong[] parameters = [.. read.Records.Single(record => record.Type == HvmParams).Body.Chunk(8).Select(word => BinaryPrimitives.ReadUInt64LittleEndian(word))];
        Assert.Equal([3ul, 1, 0xfeffc, 17, 0xfeffd, 36, 8], parameters);
    }

    [Fact]
    public void zero_pages_cost_eight_bytes_where_they_may_be_allocations()
    {
        long zeros = Layout.PageCount / 2;

        int saved = OneRound(ZeroPages.AsData).Length - OneRound(ZeroPages.AsAllocations).Length;
        Assert.InRange(saved, zeros * IGuestMemory.PageBytes, (zeros * IGuestMemory.PageBytes) + 1024);
    }

    [Fact]
    public void a_page_that_had_content_and_becomes_zero_is_sent_as_content()
    {
        byte[] stream = Written(ZeroPages.AsAllocations, writer =>
        {
            writer.Zero(5, 1);
            writer.Write(5, Page(0xa5));
            writer.Zero(5, 1);
        });

        XenStreamReader read = XenStreamReader.Read(stream);
        Assert.Equal(3, read.Records.Count(record => record.Type == PageData));
        Assert.Equal(Page(0), read.Pages[5]);
    }

    [Fact]
    public void the_last_version_of_a_page_is_the_one_that_counts()
    {
        byte[] stream = Written(ZeroPages.AsData, writer =>
        {
            for (byte version = 1; version <= 5; version++)
            {
                writer.Write(7, Page(version));
                writer.Write(9, Page((byte)(version + 100)));
            }
        });

        XenStreamReader read = XenStreamReader.Read(stream);
        Assert.Equal((Page(5)[0], Page(105)[0]), (read.Pages[7]![0], read.Pages[9]![0]));
    }

    [Fact]
    public void a_long_run_is_cut_into_records_that_the_stock_receiver_takes()
    {
        byte[] stream = Written(ZeroPages.AsAllocations, writer =>
        {
            writer.Zero(0, 3000);
            writer.Write(4000, new byte[700 * IGuestMemory.PageBytes]);
        });

        int[] counts = [.. XenStreamReader.Read(stream).Records.Where(record => record.Type == PageData).Select(record => BinaryPrimitives.ReadInt32LittleEndian(record.Body))];
        Assert.Equal(3700, counts.Sum());
        Assert.All(counts, count => Assert.InRange(count, 1, 1024));
    }

    [Fact]
    public void nothing_is_allocated_per_page()
    {
        XenStreamWriter writer = new(Stream.Null, PfnCount, ZeroPages.AsAllocations);
        writer.WriteHead(Setup);
        byte[] pages = new byte[64 * IGuestMemory.PageBytes];
        Send();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            Send();
        }

        // A collection, or a method that is compiled anew, may cost this thread something once; an object per page would be a hundred times as much.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100 * (64 + 300) / 4);

        void Send()
        {
            writer.Write(256, pages);
            writer.Zero(1000, 300);
            writer.Flush();
        }
    }

    [Fact]
    public void parts_out_of_order_and_pages_that_the_domain_has_not_are_refused()
    {
        XenStreamWriter writer = new(Stream.Null, 100, ZeroPages.AsData);
        Assert.Throws<InvalidOperationException>(() => writer.Write(0, Page(1)));
        Assert.Throws<InvalidOperationException>(() => writer.WriteTail(State));
        writer.WriteHead(Setup);
        Assert.Throws<InvalidOperationException>(() => writer.WriteHead(Setup));
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.Write(100, Page(1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.Zero(99, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.Zero(-1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.Write(0, new byte[100]));
        writer.WriteTail(State);
        Assert.Throws<InvalidOperationException>(() => writer.Write(0, Page(1)));
        Assert.Throws<InvalidOperationException>(() => writer.WriteTail(State));
    }

    [Fact]
    public void what_no_receiver_accepts_is_not_written()
    {
        XenStreamWriter writer = new(Stream.Null, 100, ZeroPages.AsData);
        XenDomainSetup[] wrong =
        [
            Setup with { LibxlConfiguration = Array.Empty<byte>() },
            Setup with { LibxlConfiguration = new byte[] { 123, 0, 125 } },
            Setup with { CpuidPolicy = new byte[25] },
            Setup with { MsrPolicy = new byte[15] },
        ];

        Assert.All(wrong, setup => Assert.Throws<ArgumentException>(() => new XenStreamWriter(Stream.Null, 100, ZeroPages.AsData).WriteHead(setup)));
        writer.WriteHead(Setup);
        Assert.Throws<ArgumentException>(() => writer.WriteTail(State with { HvmContext = Array.Empty<byte>() }));
    }

    [Fact]
    public void pages_and_page_frames_are_told_apart()
    {
        Assert.Equal(160 + 1100 + 8, Layout.PageCount);
        Assert.Equal(new PfnRun(0, 160), Layout.FramesAt(0, 1000));
        Assert.Equal(new PfnRun(159, 1), Layout.FramesAt(159, 1000));
        Assert.Equal(new PfnRun(256, 7), Layout.FramesAt(160, 7));
        Assert.Equal(new PfnRun(0xfefff, 1), Layout.FramesAt(Layout.PageCount - 1, 1000));
        Assert.Throws<ArgumentOutOfRangeException>(() => Layout.FramesAt(Layout.PageCount, 1));
        PageBitmap populated = new(PfnCount);
        foreach (PfnRun run in Layout.Runs)
        {
            populated.SetRange(run.FirstPfn, run.Count);
        }

        Assert.Equal(Layout.Runs, MemoryLayout.Of(populated).Runs);
    }

    [Fact]
    public void a_layout_that_cannot_be_is_refused()
    {
        PfnRun[][] wrong = [[], [new(0, 0)], [new(0, 11)], [new(5, 2), new(6, 2)], [new(5, 1), new(2, 1)], [new(-1, 1)]];
        Assert.All(wrong, runs => Assert.Throws<ArgumentException>(() => new MemoryLayout(10, runs)));
    }
}
