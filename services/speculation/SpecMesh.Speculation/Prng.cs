using System.Buffers.Binary;

namespace SpecMesh.Speculation;

/// <summary>
/// Random numbers that are the same for the same seed, on every machine and in every version of .NET: SplitMix64
/// (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; constants of Vigna's public-domain <c>splitmix64.c</c>).
/// Not for secrets.
/// </summary>
public sealed class Prng(ulong seed)
{
    private const ulong Gamma = 0x9E3779B97F4A7C15;

    private ulong state = seed;

    /// <summary>A seed that depends on every bit of an identifier and of a number beside it.</summary>
    public static ulong SeedOf(Guid id, int number)
    {
        Span<byte> bytes = stackalloc byte[16];
        id.TryWriteBytes(bytes, bigEndian: true, out _);
        ulong high = BinaryPrimitives.ReadUInt64BigEndian(bytes);
        ulong low = BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]);
        return Mix(Mix(Mix(high + Gamma) ^ low) + unchecked((uint)number) + Gamma);
    }

    /// <summary>A generator of its own, whose numbers do not depend on how many the parent gives out later.</summary>
    public Prng Split() => new(Mix(NextUInt64() ^ Gamma));

    /// <summary>64 random bits.</summary>
    public ulong NextUInt64() => Mix(state += Gamma);

    /// <summary>A whole number from 0 to below <paramref name="limit"/>, each equally likely.</summary>
    /// <remarks>Lemire, "Fast random integer generation in an interval", ACM TOMACS 29 (2019).</remarks>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="limit"/> is not above 0.</exception>
    public int NextInt(int limit)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        ulong range = (ulong)limit;
        ulong high = Math.BigMul(NextUInt64(), range, out ulong low);
        if (low < range)
        {
            ulong threshold = unchecked(0UL - range) % range;
            while (low < threshold)
            {
                high = Math.BigMul(NextUInt64(), range, out low);
            }
        }

        return (int)high;
    }

    /// <summary>A number from 0 to below 1, in steps of 2⁻⁵³.</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>A number from <paramref name="min"/> to below <paramref name="max"/>.</summary>
    public double Uniform(double min, double max) => min + ((max - min) * NextDouble());

    /// <summary>The same items in a random order, each order equally likely as far as 64 bits of state allow (Fisher and Yates).</summary>
    public IReadOnlyList<T> Shuffle<T>(IEnumerable<T> items)
    {
        List<T> order = [.. items];
        for (int last = order.Count - 1; last > 0; last--)
        {
            int other = NextInt(last + 1);
            (order[last], order[other]) = (order[other], order[last]);
        }

        return order;
    }

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
