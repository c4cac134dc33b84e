using System.Buffers.Binary;
using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>Xen's own checker of migration streams accepts what the writer writes, and sees what is wrong with a broken one.</summary>
public sealed class VerifyStreamTests
{
    [VerifyStreamTheory]
    [InlineData(ZeroPages.AsData)]
    [InlineData(ZeroPages.AsAllocations)]
    public async Task xens_own_checker_accepts_a_whole_migration_stream(ZeroPages zeroPages)
    {
        (bool accepted, string said) = await VerifyStream.RunAsync(SyntheticDomain.OneRound(zeroPages));

        Assert.True(accepted, said);
        Assert.Contains("x86 HVM from Xen 4.17", said, StringComparison.Ordinal);
        Assert.Contains("CPUID policy", said, StringComparison.Ordinal);
    }

    [VerifyStreamTheory]
    [InlineData(-1)]
    [InlineData(8)]
    public async Task xens_own_checker_sees_a_broken_migration_stream(int cut)
    {
        byte[] stream = SyntheticDomain.OneRound(ZeroPages.AsData);
        if (cut > 0)
        {
            stream = stream[..^cut];
        }
        else
        {
            // The identity of libxc's image header.
            int image = stream.AsSpan().IndexOf("XENF"u8);
            BinaryPrimitives.WriteUInt32BigEndian(stream.AsSpan(image), 1);
        }

        (bool accepted, string said) = await VerifyStream.RunAsync(stream);
        Assert.False(accepted, said);
    }
}
