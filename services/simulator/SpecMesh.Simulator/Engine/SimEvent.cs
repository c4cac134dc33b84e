namespace SpecMesh.Simulator.Engine;

/// <summary>Something that will happen at a time of the simulation: 16 bytes, so that four of them fit into a line of the processor's cache.</summary>
public readonly record struct SimEvent
{
    /// <summary>Kinds are numbers below this.</summary>
    public const uint KindLimit = 1u << (32 - EntityBits);

    /// <summary>Entities are numbers below this: 67 million.</summary>
    public const uint EntityLimit = 1u << EntityBits;

    private const int EntityBits = 26;

    // Two words, so that an event is copied as it is, in registers.
    private readonly ulong sequenceAndKindAndEntity;

    /// <summary>An event.</summary>
    public SimEvent(long timeNs, uint sequence, uint kindAndEntity)
    {
        TimeNs = timeNs;
        sequenceAndKindAndEntity = ((ulong)sequence << 32) | kindAndEntity;
    }

    /// <summary>When, in nanoseconds since the simulation's start.</summary>
    public long TimeNs { get; }

    /// <summary>
    /// The number of its <see cref="EventQueue.Push"/>. Whoever may have to take an event back keeps the number of the one that counts: an event that is popped with another number is stale,
    /// and is ignored. Nothing is ever searched for in the queue.
    /// </summary>
    public uint Sequence => (uint)(sequenceAndKindAndEntity >> 32);

    /// <summary>What happens (upper 6 bits) to whom (lower 26 bits).</summary>
    public uint KindAndEntity => (uint)sequenceAndKindAndEntity;

    /// <summary>What happens.</summary>
    public uint Kind => KindAndEntity >> EntityBits;

    /// <summary>To whom.</summary>
    public uint Entity => KindAndEntity & (EntityLimit - 1);

    /// <summary>Everything but the time in one word.</summary>
    internal ulong Identity => sequenceAndKindAndEntity;

    /// <summary>Both in one word. Neither is checked: see <see cref="KindLimit"/> and <see cref="EntityLimit"/>.</summary>
    internal static uint Pack(uint kind, uint entity) => (kind << EntityBits) | entity;
}
