using System.Numerics;

namespace SpecMesh.Simulator.Engine;

/// <summary>A running hash of the events that happened, in their order: two runs with equal hashes went the same way. It is cheap, and nothing for secrets.</summary>
/// <param name="value">The hash to go on with.</param>
public struct TraceHash(ulong value)
{
    private ulong state = value;

    /// <summary>The hash of everything so far.</summary>
    public readonly ulong Value => state;

    /// <summary>Adds one event.</summary>
    public void Add(SimEvent happened) =>
        state = (BitOperations.RotateLeft(state, 25) ^ ((ulong)happened.TimeNs * 0x9E3779B97F4A7C15) ^ happened.Identity) * 0xD6E8FEB86659FD93;
}
