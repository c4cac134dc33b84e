using System.Text;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>What a small PVH domain consists of, with the shape of a real one: low memory, a hole, more memory, and special pages below 4 GiB.</summary>
internal static class SyntheticDomain
{
    public const long PfnCount = 0xff000;

    public static MemoryLayout Layout { get; } = new(PfnCount, [new PfnRun(0, 160), new PfnRun(256, 1100), new PfnRun(0xfeff8, 8)]);

    public static XenDomainSetup Setup { get; } = new(
        Encoding.UTF8.GetBytes("""{"c_info": {"type": "pvh", "name": "vm-1", "domid": 4294967295}, "b_info": {"max_vcpus": 1, "type.pvh": {}}}"""),
        4,
        17,
        Numbered(49 * XenDomainSetup.CpuidLeafBytes),
        Numbered(2 * XenDomainSetup.MsrEntryBytes));

    // The context's length is no multiple of 8 on purpose: it must be padded.
    public static XenDomainState State { get; } = new(
        new XenTsc(2, 2_594_120, 123_456_789_012, 1),
        Numbered(2505),
        [new XenHvmParam(1, 0xfeffc), new XenHvmParam(17, 0xfeffd), new XenHvmParam(36, 8)]);

    /// <summary>A whole migration stream of one round.</summary>
    public static byte[] OneRound(ZeroPages zeroPages, int seed = 1)
    {
        DataPath.Tests.SimulatedGuest guest = new(Layout.PageCount);
        guest.Populate(seed);
        return Written(zeroPages, writer => Copy(guest, new XenImageSink(writer, Layout)));
    }

    public static byte[] Written(ZeroPages zeroPages, Action<XenStreamWriter> pages)
    {
        using MemoryStream output = new();
        XenStreamWriter writer = new(output, PfnCount, zeroPages);
        writer.WriteHead(Setup);
        pages(writer);
        writer.WriteTail(State);
        Assert.Equal(output.Length, writer.BytesWritten);
        return output.ToArray();
    }

    public static byte[] Page(byte fill)
    {
        byte[] page = new byte[IGuestMemory.PageBytes];
        page.AsSpan().Fill(fill);
        return page;
    }

    /// <summary>Every page of the layout reads in the receiver's domain as it does in the guest's memory, and no other page frame was allocated.</summary>
    public static void MustEqual(XenStreamReader received, ReadOnlySpan<byte> memory)
    {
        Assert.Equal(Layout.PageCount, received.Pages.Count);
        for (long page = 0; page < Layout.PageCount; page++)
        {
            long pfn = Layout.FramesAt(page, 1).FirstPfn;
            Assert.True(
                memory.Slice((int)page * IGuestMemory.PageBytes, IGuestMemory.PageBytes).SequenceEqual(received.PageAt(pfn)),
                $"Page {page}, page frame {pfn}, differs.");
        }
    }

    private static void Copy(DataPath.Tests.SimulatedGuest guest, XenImageSink sink)
    {
        byte[] page = new byte[IGuestMemory.PageBytes];
        for (long i = 0; i < guest.PageCount; i++)
        {
            guest.Read(i, page);
            if (page.AsSpan().ContainsAnyExcept((byte)0))
            {
                sink.Write(i, page);
            }
            else
            {
                sink.Zero(i, 1);
            }
        }
    }

    private static byte[] Numbered(int length) => [.. Enumerable.Range(1, length).Select(i => (byte)i)];
}
