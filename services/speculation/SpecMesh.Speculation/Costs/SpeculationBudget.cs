namespace SpecMesh.Speculation.Costs;

/// <summary>How much speculative work a cluster affords.</summary>
/// <param name="Share">Speculative work for each unit of necessary work; .1, as LATE caps it (Dolly used .05; facts: protocol, section 3).</param>
/// <param name="Burst">What can be saved up, in the same unit; it lets a quiet cluster answer to a sudden fault. Default 64 replicas (choice).</param>
/// <param name="PerSecond">What is earned by time alone, so that a cluster that begins with nothing may speculate; default .1 per second (choice).</param>
public sealed record BudgetOptions(double Share = 0.1, double Burst = 64, double PerSecond = 0.1)
{
    /// <summary>The values of the facts.</summary>
    public static BudgetOptions Default { get; } = new();
}

/// <summary>
/// The cluster's token bucket for speculative work, in whatever unit its holder counts: replicas, bytes, seconds. Necessary work (an operation's first replica) earns a share, further
/// replicas spend.
/// </summary>
/// <param name="Tokens">What is in it.</param>
/// <param name="AtSeconds">When that was so.</param>
public readonly record struct SpeculationBudget(double Tokens, double AtSeconds)
{
    /// <summary>A full bucket.</summary>
    public static SpeculationBudget Full(BudgetOptions options, double nowSeconds) => new(options.Burst, nowSeconds);

    /// <summary>Whole units that can be spent.</summary>
    public int Whole => (int)Math.Max(0, Math.Floor(Tokens));

    /// <summary>Time has passed, and necessary work was begun.</summary>
    public SpeculationBudget Earn(BudgetOptions options, double nowSeconds, double necessaryWork)
    {
        double earned = (options.Share * necessaryWork) + (options.PerSecond * Math.Max(0, nowSeconds - AtSeconds));
        return new SpeculationBudget(Math.Min(options.Burst, Tokens + earned), Math.Max(nowSeconds, AtSeconds));
    }

    /// <summary>Speculative work was begun. It may leave a debt: what a replica costs is known only afterwards.</summary>
    public SpeculationBudget Spend(double speculativeWork) => this with { Tokens = Tokens - speculativeWork };
}
