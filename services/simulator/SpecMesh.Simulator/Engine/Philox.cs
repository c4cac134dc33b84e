namespace SpecMesh.Simulator.Engine;

/// <summary>
/// Philox4x32-10: 128 random bits as a function of a key and a counter, without state (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
/// Not for secrets.
/// </summary>
public static class Philox
{
    internal const uint Multiplier0 = 0xD2511F53;
    internal const uint Multiplier1 = 0xCD9E8D57;
    internal const uint Weyl0 = 0x9E3779B9;
    internal const uint Weyl1 = 0xBB67AE85;
    internal const int Rounds = 10;

    /// <summary>The block of a counter under a key.</summary>
    public static (uint, uint, uint, uint) Block((uint, uint, uint, uint) counter, (uint, uint) key)
    {
        (uint c0, uint c1, uint c2, uint c3) = counter;
        (uint k0, uint k1) = key;
        for (int round = 0; round < Rounds; round++)
        {
            ulong product0 = (ulong)c0 * Multiplier0;
            ulong product1 = (ulong)c2 * Multiplier1;
            c0 = (uint)(product1 >> 32) ^ c1 ^ k0;
            c1 = (uint)product1;
            c2 = (uint)(product0 >> 32) ^ c3 ^ k1;
            c3 = (uint)product0;
            k0 += Weyl0;
            k1 += Weyl1;
        }

        return (c0, c1, c2, c3);
    }
}
