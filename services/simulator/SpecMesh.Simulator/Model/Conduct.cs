namespace SpecMesh.Simulator.Model;

/// <summary>How a policy runs its operations.</summary>
/// <param name="Kind">The manager.</param>
/// <param name="FirstPauseNs">Pause of the naive manager before its second attempt.</param>
/// <param name="HedgeNs">Delay of each further replica of a hedged start.</param>
/// <param name="SourceFailures">Whether a failed source fails its operations.</param>
public readonly record struct Conduct(ManagerKind Kind, long FirstPauseNs = 0, long HedgeNs = 0, bool SourceFailures = false)
{
    /// <summary>The naive manager's pause after so many attempts.</summary>
    public long RetryAfterNs(int attempts) => FirstPauseNs << Math.Min(attempts - 1, 32);
}
