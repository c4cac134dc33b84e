namespace SpecMesh.Speculation.Replication;

/// <summary>What the end of a replica says about its target.</summary>
public enum Evidence
{
    /// <summary>Nothing: it lost the race, its caller ended it, or its source was at fault. Counting it as a failure would punish whoever is raced often.</summary>
    Censored,

    /// <summary>It did what it was asked for.</summary>
    Succeeded,

    /// <summary>A fault of the target ended it.</summary>
    Failed,
}

/// <summary>How failure rates are estimated.</summary>
/// <param name="HalfLifeSeconds">
/// After so many seconds an observation counts half. About the mean duration of a failure: what was seen longer ago says little about now. Default 930 s, the mean of U(60, 1800) s of
/// the evaluation's fault model (facts: simulation, section 2). An avoided server decays back to its rack's mean at the same pace, and is tried again.
/// </param>
/// <param name="PriorFailures">Failures that the cluster is born with; .5 of <c>Beta(.5, 9.5)</c>, a mean of 5 % that ten observations outweigh (facts: protocol, section 4).</param>
/// <param name="PriorSuccesses">Successes that the cluster is born with; 9.5.</param>
/// <param name="PseudoObservations">With how many observations a server is drawn to its rack's mean, and a rack to the cluster's; 4 (facts: protocol, section 4).</param>
public sealed record EstimationOptions(double HalfLifeSeconds = 930, double PriorFailures = 0.5, double PriorSuccesses = 9.5, double PseudoObservations = 4)
{
    /// <summary>The values of the facts.</summary>
    public static EstimationOptions Default { get; } = new();
}

/// <summary>Successes and failures, each counting half after a half-life.</summary>
/// <param name="Failures">Weighted failures at <paramref name="AtSeconds"/>.</param>
/// <param name="Successes">Weighted successes at <paramref name="AtSeconds"/>.</param>
/// <param name="AtSeconds">When the weights were right.</param>
public readonly record struct DiscountedOutcomes(double Failures, double Successes, double AtSeconds)
{
    /// <summary>A time as seconds since the Unix epoch.</summary>
    public static double SecondsOf(DateTimeOffset time) => time.ToUnixTimeMilliseconds() / 1000.0;

    /// <summary>Both together; they must be of the same time.</summary>
    public DiscountedOutcomes Plus(DiscountedOutcomes other) => this with { Failures = Failures + other.Failures, Successes = Successes + other.Successes };

    /// <summary>All of them.</summary>
    public double Total => Failures + Successes;

    /// <summary>The same outcomes, as much as they count at another time; a time before the last outcome changes nothing.</summary>
    public DiscountedOutcomes At(double seconds, double halfLifeSeconds)
    {
        if (seconds <= AtSeconds || Total == 0)
        {
            return this with { AtSeconds = Math.Max(seconds, AtSeconds) };
        }

        double fade = Math.Pow(2, (AtSeconds - seconds) / halfLifeSeconds);
        return new DiscountedOutcomes(Failures * fade, Successes * fade, seconds);
    }

    /// <summary>With one outcome more.</summary>
    public DiscountedOutcomes With(bool failed, double seconds, double halfLifeSeconds)
    {
        DiscountedOutcomes faded = At(seconds, halfLifeSeconds);
        return failed ? faded with { Failures = faded.Failures + 1 } : faded with { Successes = faded.Successes + 1 };
    }

    /// <summary>The posterior mean of the failure probability when <paramref name="pseudoObservations"/> of the mean above are added: Beta shrinkage.</summary>
    public double ShrunkTo(double meanAbove, double pseudoObservations) => ((pseudoObservations * meanAbove) + Failures) / (pseudoObservations + Total);
}
