using System.Runtime.CompilerServices;

namespace SpecMesh.Simulator.Engine;

/// <summary>The numbers of a <see cref="RandomStream"/> for one entity in the order of their indices, made many at a time.</summary>
public sealed class UniformSequence
{
    private readonly RandomStream stream;
    private readonly uint entity;
    private readonly uint part;
    private readonly ulong[] bits = new ulong[ExponentialSequence.BatchNumbers];
    private uint nextBlock;
    private int used = ExponentialSequence.BatchNumbers;

    internal UniformSequence(RandomStream stream, uint entity, uint part)
    {
        this.stream = stream;
        this.entity = entity;
        this.part = part;
    }

    /// <summary>The next number between 0 and 1.</summary>
    public double Next() => RandomStream.ToUnit(NextBits());

    /// <summary>The next whole number from 0 to below <paramref name="limit"/>, which is above 0.</summary>
    public int Below(int limit) => (int)Math.BigMul(NextBits(), (ulong)limit, out _);

    private ulong NextBits()
    {
        if (used == bits.Length)
        {
            stream.Fill(bits, entity, nextBlock, part);
            nextBlock += ExponentialSequence.BatchNumbers / 2;
            used = 0;
        }

        return bits[used++];
    }
}

/// <summary>The waiting times of a <see cref="RandomStream"/> for one entity in the order of their indices, made many at a time.</summary>
public sealed class ExponentialSequence
{
    internal const int BatchNumbers = 256;

    private readonly RandomStream stream;
    private readonly uint entity;
    private readonly uint part;
    private readonly ulong[] bits = new ulong[BatchNumbers];
    private readonly double[] times = new double[BatchNumbers];
    private uint nextBlock;
    private int used = BatchNumbers;

    internal ExponentialSequence(RandomStream stream, uint entity, uint part)
    {
        this.stream = stream;
        this.entity = entity;
        this.part = part;
    }

    /// <summary>The next waiting time, in the unit of its mean.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public double Next(double mean)
    {
        if (used == times.Length)
        {
            Refill();
        }

        return mean * times[used++];
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Refill()
    {
        stream.Fill(bits, entity, nextBlock, part);
        nextBlock += BatchNumbers / 2;
        for (int i = 0; i < times.Length; i++)
        {
            times[i] = RandomStream.ToUnit(bits[i]);
        }

        PortableMath.NegativeLog(times);
        used = 0;
    }
}
