using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Tests.Engine;

public sealed class PortableMathTests
{
    private static readonly RandomStream Stream = new(1, 1);

    private static readonly double[] Fractions = [.. Enumerable.Range(0, 100_000).Select(i => Stream.Uniform(0, (uint)i)), 1.0 / (1L << 53), 1 - (1.0 / (1L << 53)), 0.5, 0.7071067811865475, 0.7071067811865476];

    [Fact]
    public void the_logarithm_is_within_a_unit_of_the_last_place() =>
        Assert.All(Fractions.Concat(Fractions.Select(x => x * 1e6)).Append(1), x => AssertUnits(2, Math.Log(x), PortableMath.Log(x)));

    [Fact]
    public void many_logarithms_at_once_are_the_same_to_the_last_bit()
    {
        double[] numbers = [.. Fractions, 3.7, 1e300, 1e-300];
        double[] expected = [.. numbers.Select(x => -PortableMath.Log(x))];
        PortableMath.NegativeLog(numbers);
        Assert.Equal(expected, numbers);
    }

    [Fact]
    public void the_exponential_is_within_a_unit_of_the_last_place() =>
        Assert.All(Fractions.SelectMany(x => new[] { x, -x, (x - 0.5) * 1400 }).Append(0), x => AssertUnits(2, Math.Exp(x), PortableMath.Exp(x)));

    /// <summary>Probabilities of the normal distribution at whole numbers, as tables give them to 16 digits.</summary>
    [Theory]
    [InlineData(-8, 6.220960574271785e-16)]
    [InlineData(-7, 1.279812543885835e-12)]
    [InlineData(-5, 2.866515718791939e-7)]
    [InlineData(-3, 1.349898031630095e-3)]
    [InlineData(-1, 0.15865525393145705)]
    [InlineData(0, 0.5)]
    [InlineData(1, 0.8413447460685429)]
    [InlineData(2, 0.9772498680518208)]
    public void quantiles_are_those_of_the_normal_distribution(double quantile, double probability) => Assert.Equal(quantile, PortableMath.NormalQuantile(probability), 1e-13);

    [Fact]
    public void quantiles_rise_and_are_symmetric()
    {
        double[] quantiles = [.. Fractions.Order().Select(PortableMath.NormalQuantile)];
        Assert.Equal(quantiles.Order(), quantiles);
        Assert.All(Fractions.Where(p => p > 0.001 && p < 0.5), p => Assert.Equal(PortableMath.NormalQuantile(p), -PortableMath.NormalQuantile(1 - p), 1e-11));
    }

    /// <summary>As the same algorithms give them in another language, on another library: a difference in one bit would be a difference in every trace.</summary>
    [Fact]
    public void the_bits_are_the_same_everywhere()
    {
        Assert.Equal(0xBFD6D3C324E13F50UL, Bits(PortableMath.Log(0.7)));
        Assert.Equal(0x40001C2A61268987UL, Bits(PortableMath.Exp(0.7)));
        Assert.Equal(0x3FE0C7E39582C5FAUL, Bits(PortableMath.NormalQuantile(0.7)));
        Assert.Equal(0x40555BE7245D4FDBUL, Bits(Stream.LogNormal(90, 0.4, 1, 2)));
    }

    private static ulong Bits(double number) => BitConverter.DoubleToUInt64Bits(number);

    private static void AssertUnits(int units, double expected, double actual) =>
        Assert.True(Math.Abs(expected - actual) <= units * (Math.BitIncrement(Math.Abs(expected)) - Math.Abs(expected)), $"{expected:R} {actual:R}");
}
