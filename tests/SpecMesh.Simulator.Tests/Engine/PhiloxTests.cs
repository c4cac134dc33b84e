using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Tests.Engine;

public sealed class PhiloxTests
{
    /// <summary>Known answers of the authors' library, Random123 1.14, file <c>tests/kat_vectors</c>, lines "philox4x32 10".</summary>
    [Theory]
    [InlineData(0u, 0u, 0u, 0u, 0u, 0u, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u)]
    [InlineData(0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu)]
    [InlineData(0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u, 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u)]
    public void blocks_are_those_of_the_authors(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1, uint r0, uint r1, uint r2, uint r3) =>
        Assert.Equal((r0, r1, r2, r3), Philox.Block((c0, c1, c2, c3), (k0, k1)));

    [Theory]
    [InlineData(0u)]
    [InlineData(77u)]
    [InlineData(0xfffffffau)]
    public void many_blocks_at_once_are_the_same_blocks(uint first)
    {
        ulong[] together = new ulong[64], alone = new ulong[64];
        PhiloxBatch.Fill(together, (first, 0xffffffff, 0x13198a2e, 3), (0xa4093822, 0xffffffff));
        PhiloxBatch.FillOneByOne(alone, (first, 0xffffffff, 0x13198a2e, 3), (0xa4093822, 0xffffffff));
        Assert.Equal(alone, together);
        (uint r0, uint r1, uint r2, uint r3) = Philox.Block((first, 0xffffffff, 0x13198a2e, 3), (0xa4093822, 0xffffffff));
        Assert.Equal((((ulong)r1 << 32) | r0, ((ulong)r3 << 32) | r2), (alone[0], alone[1]));
    }
}
