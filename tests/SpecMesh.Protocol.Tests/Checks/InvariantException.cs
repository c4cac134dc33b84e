namespace SpecMesh.Protocol.Tests.Checks;

/// <summary>An invariant of DESIGN sections 7 and 8 does not hold.</summary>
/// <param name="rule">Which: R1 to R8, I1 to I7.</param>
/// <param name="what">What was seen.</param>
internal sealed class InvariantException(string rule, string what) : Exception($"{rule}: {what}")
{
    public string Rule { get; } = rule;
}
