namespace SpecMesh.Speculation.Replication;

/// <summary>
/// What one replica more costs and saves, by the closed forms of the evaluation (facts: protocol, sections 1 and 4). <c>p</c> is the probability that one replica fails; an operation
/// whose replicas all fail is tried again in the next round.
/// </summary>
public static class ReplicationEconomy
{
    /// <summary>Attempts until an operation has succeeded when each round has <paramref name="k"/> replicas: <c>k/(1−pᵏ)</c>.</summary>
    public static double Attempts(double p, int k) => k / (1 - Math.Pow(p, k));

    /// <summary>Rounds that one replica more saves on average: <c>pᵏ(1−p)/((1−pᵏ)(1−pᵏ⁺¹))</c>.</summary>
    public static double RoundsSaved(double p, int k)
    {
        double miss = Math.Pow(p, k);
        return miss * (1 - p) / ((1 - miss) * (1 - (miss * p)));
    }

    /// <summary>True when the (k+1)-th replica saves more delay than its attempts are worth.</summary>
    /// <param name="p">Probability that one replica fails, below 1.</param>
    /// <param name="k">Replicas so far, at least 1.</param>
    /// <param name="delayWorthAttempts">How many attempts it is worth to save one round's delay.</param>
    public static bool IsWorthIt(double p, int k, double delayWorthAttempts) =>
        RoundsSaved(p, k) * delayWorthAttempts > Attempts(p, k + 1) - Attempts(p, k);

    /// <summary>Rounds until the last of <paramref name="operations"/> parallel operations has succeeded, each with the probability <paramref name="miss"/> of failing a round: <c>Σⱼ[1−(1−missʲ)ᵛ]</c>, the first round not counted.</summary>
    public static double FurtherRounds(double miss, int operations)
    {
        double rounds = 0;
        double power = miss;
        for (int j = 1; j < 10_000 && power > 1e-12; j++)
        {
            rounds += 1 - Math.Pow(1 - power, operations);
            power *= miss;
        }

        return rounds;
    }

    /// <summary>
    /// Replicas that bring a batch of operations to its end soonest, where every further replica makes the copying longer (one uplink carries them all) and every failed operation makes the
    /// batch wait for another round: the least <c>k·copySeconds + furtherRounds(pᵏ)·roundSeconds</c>. This is the choice for evacuating a server.
    /// </summary>
    /// <param name="p">Probability that one replica fails.</param>
    /// <param name="operations">Operations of the batch, for example the machines of one server.</param>
    /// <param name="copySeconds">Seconds that the batch's copying takes per replica of each operation: its bytes over the shared link's rate.</param>
    /// <param name="roundSeconds">Seconds until a failed operation is tried again.</param>
    /// <param name="maxReplicas">No more than this.</param>
    public static ReplicationVerdict Soonest(double p, int operations, double copySeconds, double roundSeconds, int maxReplicas)
    {
        int best = 1;
        double bestSeconds = double.PositiveInfinity;
        double nextSeconds = double.PositiveInfinity;
        for (int k = 1; k <= maxReplicas; k++)
        {
            double seconds = (k * copySeconds) + (FurtherRounds(Math.Pow(p, k), operations) * roundSeconds);
            if (seconds < bestSeconds)
            {
                (best, bestSeconds, nextSeconds) = (k, seconds, double.PositiveInfinity);
            }
            else if (k == best + 1)
            {
                nextSeconds = seconds;
            }
        }

        return best == maxReplicas
            ? new(best, "most-replicas", "The batch would end no later with more replicas, but no more are allowed.", bestSeconds, bestSeconds)
            : new(best, "soonest", "One replica more would make the batch end later.", bestSeconds, nextSeconds);
    }
}
