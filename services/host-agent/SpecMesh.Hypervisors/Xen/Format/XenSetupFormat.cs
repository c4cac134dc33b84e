using System.Buffers.Binary;

namespace SpecMesh.Hypervisors.Xen.Format;

/// <summary>
/// What the source's driver tells the target's before the first page, in bytes, little endian: magic u32, format u32, Xen's version u32 u32, page frames u64, then the lengths of what
/// follows, u32 each: runs of page frames (first u64, number u64), leaves of the CPUID policy, entries of the MSR policy, configuration.
/// </summary>
internal static class XenSetupFormat
{
    private const uint Magic = 0x44_58_4d_53; // "SMXD"
    private const uint Format = 1;
    private const int HeadBytes = 40;
    private const int RunBytes = 16;

    /// <summary>Page frames below 4 GiB: as many as a domain may have beyond its pages, because its special pages lie just below.</summary>
    private const long MostHoles = 1L << 20;

    public static byte[] Write(XenDomainSetup setup, MemoryLayout layout)
    {
        byte[] blob = new byte[HeadBytes + (layout.Runs.Count * RunBytes) + setup.CpuidPolicy.Length + setup.MsrPolicy.Length + setup.LibxlConfiguration.Length];
        Span<byte> to = blob;
        BinaryPrimitives.WriteUInt32LittleEndian(to, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(to[4..], Format);
        BinaryPrimitives.WriteInt32LittleEndian(to[8..], setup.XenMajor);
        BinaryPrimitives.WriteInt32LittleEndian(to[12..], setup.XenMinor);
        BinaryPrimitives.WriteInt64LittleEndian(to[16..], layout.PfnCount);
        BinaryPrimitives.WriteInt32LittleEndian(to[24..], layout.Runs.Count * RunBytes);
        BinaryPrimitives.WriteInt32LittleEndian(to[28..], setup.CpuidPolicy.Length);
        BinaryPrimitives.WriteInt32LittleEndian(to[32..], setup.MsrPolicy.Length);
        BinaryPrimitives.WriteInt32LittleEndian(to[36..], setup.LibxlConfiguration.Length);
        to = to[HeadBytes..];
        foreach (PfnRun run in layout.Runs)
        {
            BinaryPrimitives.WriteInt64LittleEndian(to, run.FirstPfn);
            BinaryPrimitives.WriteInt64LittleEndian(to[8..], run.Count);
            to = to[RunBytes..];
        }

        setup.CpuidPolicy.Span.CopyTo(to);
        setup.MsrPolicy.Span.CopyTo(to[setup.CpuidPolicy.Length..]);
        setup.LibxlConfiguration.Span.CopyTo(to[(setup.CpuidPolicy.Length + setup.MsrPolicy.Length)..]);
        return blob;
    }

    /// <summary>Reads what another host says. The configuration is not looked at here.</summary>
    /// <param name="blob">The bytes.</param>
    /// <param name="pageCount">Number of pages that the layout must have; it bounds what is allocated.</param>
    /// <exception cref="HypervisorException">That is no setup of such a domain.</exception>
    public static (XenDomainSetup Setup, MemoryLayout Layout) Read(ReadOnlySpan<byte> blob, long pageCount)
    {
        Require(blob.Length >= HeadBytes && BinaryPrimitives.ReadUInt32LittleEndian(blob) == Magic, "it does not begin like one");
        Require(BinaryPrimitives.ReadUInt32LittleEndian(blob[4..]) == Format, "its format is not the one that is known here");
        int major = BinaryPrimitives.ReadInt32LittleEndian(blob[8..]);
        int minor = BinaryPrimitives.ReadInt32LittleEndian(blob[12..]);
        Require(major is > 0 and < 100 && minor is >= 0 and < 1000, "it names an impossible version of Xen");
        long pfnCount = BinaryPrimitives.ReadInt64LittleEndian(blob[16..]);
        Require(pfnCount >= pageCount && pfnCount <= pageCount + MostHoles, "its page frames do not fit its pages");
        Span<int> lengths = stackalloc int[4];
        long total = HeadBytes;
        for (int i = 0; i < lengths.Length; i++)
        {
            lengths[i] = BinaryPrimitives.ReadInt32LittleEndian(blob[(24 + (i * sizeof(int)))..]);
            Require(lengths[i] >= 0 && lengths[i] <= blob.Length, "a part of it has an impossible length");
            total += lengths[i];
        }

        Require(total == blob.Length, "it does not have the length that it says");
        Require(lengths[0] % RunBytes == 0 && lengths[1] % XenDomainSetup.CpuidLeafBytes == 0 && lengths[2] % XenDomainSetup.MsrEntryBytes == 0, "a part of it is not made of whole entries");
        blob = blob[HeadBytes..];
        MemoryLayout layout = ReadLayout(blob[..lengths[0]], pfnCount);
        Require(layout.PageCount == pageCount, "its runs do not have as many pages as the source says");
        blob = blob[lengths[0]..];
        ReadOnlySpan<byte> policies = blob[..(lengths[1] + lengths[2])];
        byte[] configuration = blob[policies.Length..].ToArray();
        return (new XenDomainSetup(configuration, major, minor, policies[..lengths[1]].ToArray(), policies[lengths[1]..].ToArray()), layout);
    }

    private static MemoryLayout ReadLayout(ReadOnlySpan<byte> from, long pfnCount)
    {
        PfnRun[] runs = new PfnRun[from.Length / RunBytes];
        for (int i = 0; i < runs.Length; i++)
        {
            ReadOnlySpan<byte> run = from[(i * RunBytes)..];
            runs[i] = new PfnRun(BinaryPrimitives.ReadInt64LittleEndian(run), BinaryPrimitives.ReadInt64LittleEndian(run[8..]));
        }

        try
        {
            return new MemoryLayout(pfnCount, runs);
        }
        catch (ArgumentException wrong)
        {
            throw new HypervisorException($"That is no setup of a Xen domain: {wrong.Message}", wrong);
        }
    }

    private static void Require(bool valid, string otherwise)
    {
        if (!valid)
        {
            throw new HypervisorException($"That is no setup of a Xen domain: {otherwise}.");
        }
    }
}
