using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Replication;

/// <summary>How many replicas an operation gets, and why so many.</summary>
/// <param name="Replicas">How many.</param>
/// <param name="Code">Why no more and no fewer, as a stable word.</param>
/// <param name="Detail">The same as a sentence.</param>
/// <param name="Observed">The value that decided.</param>
/// <param name="Limit">What it was compared with.</param>
public readonly record struct ReplicationVerdict(int Replicas, string Code, string Detail, double Observed, double Limit)
{
    /// <summary>As events and people see it.</summary>
    public Reason ToReason() => new(Code, Detail, Math.Round(Observed, 6), Math.Round(Limit, 6));
}

/// <summary>A host that may be chosen.</summary>
/// <param name="Host">Number of the host.</param>
/// <param name="Domain">Number of its failure domain.</param>
/// <param name="FailureProbability">Estimate that a replica fails on it.</param>
public readonly record struct Candidate(int Host, int Domain, double FailureProbability);
