using SpecMesh.Protocol.Tests.Faults;

namespace SpecMesh.Protocol.Tests.Running;

/// <summary>One schedule: its seed, and what is left out of it.</summary>
/// <param name="Seed">Decides everything.</param>
internal sealed record Plan(ulong Seed)
{
    public Omitted Omitted { get; init; } = Omitted.Nothing;

    public Mutator Mutator { get; init; } = Mutator.None;

    public bool Traced { get; init; }

    /// <summary>Kinds of fault that happen often, and no others do; empty: as the seed has it.</summary>
    public IReadOnlySet<Fault> Focus { get; init; } = new HashSet<Fault>();

    /// <summary>Only so many of the seed's hosts.</summary>
    public int MostHosts { get; init; } = int.MaxValue;

    /// <summary>Operations that are not asked for, by their number.</summary>
    public IReadOnlySet<int> OmittedOperations { get; init; } = new HashSet<int>();
}
