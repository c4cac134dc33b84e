namespace SpecMesh.Simulator.Engine;

/// <summary>
/// Random numbers of one purpose, by number and without state: what is drawn for (entity, index, part) does not depend on what else is drawn, or when. So every policy meets the same
/// faults, arrivals and sizes, however differently it behaves.
/// </summary>
/// <param name="seed">Seed of the run.</param>
/// <param name="purpose">What the numbers are for; each purpose has numbers of its own.</param>
/// <remarks>Philox with the seed as its key, and (index / 2, entity, part, purpose) as its counter: a block holds the numbers of two indices. Distributions by inversion: one number in, one number out, rising with it.</remarks>
public readonly struct RandomStream(ulong seed, uint purpose)
{
    /// <summary>A number between 0 and 1, neither of which it ever is: in steps of 2⁻⁵².</summary>
    public double Uniform(uint entity, uint index, uint part = 0) => ToUnit(Bits(entity, index, part));

    /// <summary>A number between <paramref name="min"/> and <paramref name="max"/>.</summary>
    public double Uniform(double min, double max, uint entity, uint index, uint part = 0) => min + ((max - min) * Uniform(entity, index, part));

    /// <summary>A waiting time that does not depend on how long one has waited, in the unit of its mean.</summary>
    public double Exponential(double mean, uint entity, uint index, uint part = 0) => -mean * PortableMath.Log(Uniform(entity, index, part));

    /// <summary>A normally distributed number.</summary>
    public double Normal(double mean, double deviation, uint entity, uint index, uint part = 0) => mean + (deviation * PortableMath.NormalQuantile(Uniform(entity, index, part)));

    /// <summary>A number whose logarithm is normally distributed, in the unit of its median.</summary>
    /// <param name="median">Half of the numbers are below it.</param>
    /// <param name="sigma">Standard deviation of the logarithm; with 0 every number is the median.</param>
    public double LogNormal(double median, double sigma, uint entity, uint index, uint part = 0) => median * PortableMath.Exp(sigma * PortableMath.NormalQuantile(Uniform(entity, index, part)));

    /// <summary>A whole number from 0 to below <paramref name="limit"/>, each equally likely but for 2⁻³² of the share of one.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="limit"/> is not above 0.</exception>
    public int Below(int limit, uint entity, uint index, uint part = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        return (int)Math.BigMul(Bits(entity, index, part), (ulong)limit, out _);
    }

    /// <summary>The numbers of one entity, for who reads many of them in their order.</summary>
    public UniformSequence Sequence(uint entity, uint part = 0) => new(this, entity, part);

    /// <summary>The waiting times of one entity, for who reads many of them in their order.</summary>
    public ExponentialSequence ExponentialSequence(uint entity, uint part = 0) => new(this, entity, part);

    /// <summary>64 random bits: one half of a block.</summary>
    public ulong Bits(uint entity, uint index, uint part = 0)
    {
        (uint r0, uint r1, uint r2, uint r3) = Philox.Block((index / 2, entity, part, purpose), ((uint)seed, (uint)(seed >> 32)));
        return index % 2 == 0 ? ((ulong)r1 << 32) | r0 : ((ulong)r3 << 32) | r2;
    }

    /// <summary>The bits of successive indices.</summary>
    internal void Fill(Span<ulong> bits, uint entity, uint firstBlock, uint part) => PhiloxBatch.Fill(bits, (firstBlock, entity, part, purpose), ((uint)seed, (uint)(seed >> 32)));

    /// <summary>The middle of one of 2⁵² equal parts of the line from 0 to 1.</summary>
    internal static double ToUnit(ulong bits) => ((bits >> 12) + 0.5) * (1.0 / (1UL << 52));
}
