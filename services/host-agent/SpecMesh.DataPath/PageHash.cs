using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace SpecMesh.DataPath;

/// <summary>
/// A 64-bit hash of one page. Sixteen 64-bit lanes take 128 bytes per step; each step adds the product of the word's halves, after a key that depends on the position,
/// to the word's own lane and the word itself to the neighbouring lane (the accumulation of XXH3, whose quality it shares; the keys and the end are ours).
/// It finds damage and differences; it does not resist somebody who chooses the page's content.
/// </summary>
public static class PageHash
{
    private const ulong Golden = 0x9E37_79B9_7F4A_7C15;
    private const ulong Odd1 = 0xBF58_476D_1CE4_E5B9;
    private const ulong Odd2 = 0x94D0_49BB_1331_11EB;
    private const int Lanes = 16;

    private static readonly ulong[] Keys = MakeKeys();

    /// <summary>Hash of a page of zeros.</summary>
    public static ulong OfZeroPage { get; } = Compute(new byte[IGuestMemory.PageBytes]);

    /// <summary>Hash of one page.</summary>
    /// <param name="page">Exactly <see cref="IGuestMemory.PageBytes"/> bytes.</param>
    public static ulong Compute(ReadOnlySpan<byte> page)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(page.Length, IGuestMemory.PageBytes);
        ref ulong words = ref Unsafe.As<byte, ulong>(ref MemoryMarshal.GetReference(page));
        ref ulong keys = ref MemoryMarshal.GetArrayDataReference(Keys);
        Vector256<ulong> key0 = Vector256.LoadUnsafe(ref keys, 0), key1 = Vector256.LoadUnsafe(ref keys, 4);
        Vector256<ulong> key2 = Vector256.LoadUnsafe(ref keys, 8), key3 = Vector256.LoadUnsafe(ref keys, 12);
        Vector256<ulong> sum0 = key3, sum1 = key2, sum2 = key1, sum3 = key0;
        Vector256<ulong> step = Vector256.Create(Golden);
        for (nuint i = 0; i < IGuestMemory.PageBytes / sizeof(ulong); i += Lanes)
        {
            sum0 = Accumulate(sum0, Vector256.LoadUnsafe(ref words, i), key0);
            sum1 = Accumulate(sum1, Vector256.LoadUnsafe(ref words, i + 4), key1);
            sum2 = Accumulate(sum2, Vector256.LoadUnsafe(ref words, i + 8), key2);
            sum3 = Accumulate(sum3, Vector256.LoadUnsafe(ref words, i + 12), key3);
            key0 += step;
            key1 += step;
            key2 += step;
            key3 += step;
        }

        return Fold(Fold(Fold(Fold(Golden, sum0), sum1), sum2), sum3);
    }

    /// <summary>What a page adds to its image's digest: its hash bound to its number. Never 0, which stands for a page that is not there yet.</summary>
    public static ulong Bind(long page, ulong hash)
    {
        ulong bound = Mix(hash + Mix(((ulong)page * Golden) + Odd2));
        return bound == 0 ? 1 : bound;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Accumulate(Vector256<ulong> sum, Vector256<ulong> word, Vector256<ulong> key)
    {
        Vector256<ulong> keyed = word ^ key;
        Vector256<ulong> product = Avx2.IsSupported
            ? Avx2.Multiply(keyed.AsUInt32(), (keyed >>> 32).AsUInt32())
            : (keyed & Vector256.Create((ulong)uint.MaxValue)) * (keyed >>> 32);
        return sum + product + Vector256.Shuffle(word, Vector256.Create(1UL, 0, 3, 2));
    }

    private static ulong Fold(ulong hash, Vector256<ulong> sum)
    {
        for (int lane = 0; lane < Vector256<ulong>.Count; lane++)
        {
            hash = BitOperations.RotateLeft((hash ^ Mix(sum[lane])) * Odd1, 29);
        }

        return hash;
    }

    /// <summary>The finaliser of SplitMix64: a bijection in which every bit of the input moves about half of the output.</summary>
    private static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * Odd1;
        value = (value ^ (value >> 27)) * Odd2;
        return value ^ (value >> 31);
    }

    private static ulong[] MakeKeys()
    {
        ulong[] keys = new ulong[Lanes];
        for (int lane = 0; lane < Lanes; lane++)
        {
            keys[lane] = Mix(Golden * (ulong)(lane + 1));
        }

        return keys;
    }
}
