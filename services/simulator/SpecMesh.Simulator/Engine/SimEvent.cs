namespace SpecMesh.Simulator.Engine;

/// <summary>Something that will happen at a time of the simulation: 16 bytes, so that four of them fit into a line of the processor's cache.</summary>
/// <param name="TimeNs">When, in nanoseconds since the simulation's start.</param>
/// <param name="Sequence">
/// The number of its <see cref="EventQueue.Push"/>. Whoever may have to take an event back keeps the number of the one that counts: an event that is popped with another number is stale, and
/// is ignored. Nothing is ever searched for in the queue.
/// </param>
/// <param name="KindAndEntity">What happens (upper 6 bits) to whom (lower 26 bits).</param>
public readonly record struct SimEvent(long TimeNs, uint Sequence, uint KindAndEntity)
{
    /// <summary>Kinds are numbers below this.</summary>
    public const uint KindLimit = 1u << (32 - EntityBits);

    /// <summary>Entities are numbers below this: 67 million.</summary>
    public const uint EntityLimit = 1u << EntityBits;

    private const int EntityBits = 26;

    /// <summary>What happens.</summary>
    public uint Kind => KindAndEntity >> EntityBits;

    /// <summary>To whom.</summary>
    public uint Entity => KindAndEntity & (EntityLimit - 1);

    /// <summary>Both in one word. Neither is checked: see <see cref="KindLimit"/> and <see cref="EntityLimit"/>.</summary>
    internal static uint Pack(uint kind, uint entity) => (kind << EntityBits) | entity;
}
