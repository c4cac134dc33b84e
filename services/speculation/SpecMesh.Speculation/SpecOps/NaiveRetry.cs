namespace SpecMesh.Speculation.SpecOps;

/// <summary>The back-off of a naive manager: the same host again, each pause a multiple of the one before.</summary>
/// <param name="FirstPauseSeconds">Pause after the first failure.</param>
/// <param name="Factor">Each further pause is so many times as long.</param>
/// <param name="Attempts">Attempts at most, the first included.</param>
public readonly record struct NaiveRetry(double FirstPauseSeconds, double Factor, int Attempts)
{
    /// <summary>The live manager: 1 s, doubled; four attempts. Nova's launch retries are three as well, plus the first.</summary>
    public static NaiveRetry Live { get; } = new(1, 2, 4);

    /// <summary>The evaluation's baseline: 15, 30, 60, … s until the invocation ends (facts: simulation, section 2).</summary>
    public static NaiveRetry Evaluation { get; } = new(15, 2, int.MaxValue);

    /// <summary>Pause before the next attempt; null when there is none.</summary>
    /// <param name="made">Attempts that were made, at least 1.</param>
    public double? PauseSeconds(int made) => made >= Attempts ? null : FirstPauseSeconds * Math.Pow(Factor, made - 1);
}
