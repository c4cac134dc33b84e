namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>Faults of the protocol, each switched on by a test that shows that the checks see it.</summary>
public enum Mutation
{
    None,
    SourceResumesOnTimeout,
    TargetRunsOnVote,
    AppendWithoutExpectedVersion,
    SourceDestroysEarly,
    SourceVotesTwice,
    SourceBelievesAnyRefusalAnswer,
}

/// <summary>An invariant of DESIGN section 7 does not hold.</summary>
public sealed class InvariantException(string message) : Exception(message);
