namespace SpecMesh.Speculation.Health;

/// <summary>The evaluation's fault model: a fixed share of the servers has failed at every instant, each for a uniformly random time.</summary>
/// <param name="FailedShare">Share of the servers that has failed, from 0 to below 1.</param>
/// <param name="MinSeconds">Shortest failure; 60 s (facts: simulation, section 2).</param>
/// <param name="MaxSeconds">Longest failure; 1800 s (same).</param>
public sealed record FaultModel(double FailedShare, double MinSeconds = 60, double MaxSeconds = 1800)
{
    /// <summary>Mean duration of a failure.</summary>
    public double MeanSeconds => (MinSeconds + MaxSeconds) / 2;

    /// <summary>Servers that have failed at every instant: exactly <c>round(p·N)</c>.</summary>
    public int FailedOf(int servers) => (int)Math.Round(FailedShare * servers, MidpointRounding.AwayFromZero);

    /// <summary>Rate at which a healthy server fails, per second: <c>M/(E[D](N−M))</c>.</summary>
    public double HazardPerSecond(int servers) => FailedOf(servers) / (MeanSeconds * (servers - FailedOf(servers)));

    /// <summary>Duration of a failure that begins now.</summary>
    /// <param name="uniform">From 0 to below 1.</param>
    public double Duration(double uniform) => MinSeconds + ((MaxSeconds - MinSeconds) * uniform);

    /// <summary>
    /// What is left of a failure that an observer finds under way: he meets long failures more often, so its duration has a density that grows with its length, and he comes at any point of
    /// it. A beginning with fresh durations would start the system far from its equilibrium.
    /// </summary>
    /// <param name="lengthUniform">From 0 to below 1.</param>
    /// <param name="pointUniform">From 0 to below 1.</param>
    public double EquilibriumResidual(double lengthUniform, double pointUniform)
    {
        double shortest = MinSeconds * MinSeconds;
        double length = Math.Sqrt(shortest + (((MaxSeconds * MaxSeconds) - shortest) * lengthUniform));
        return length * (1 - pointUniform);
    }

    /// <summary>Mean of that residual: <c>(a²+ab+b²)/(3(a+b))</c>.</summary>
    public double MeanResidualSeconds =>
        ((MinSeconds * MinSeconds) + (MinSeconds * MaxSeconds) + (MaxSeconds * MaxSeconds)) / (3 * (MinSeconds + MaxSeconds));
}

/// <summary>A server fails.</summary>
/// <param name="Server">Number of the server.</param>
/// <param name="Seconds">How long from now.</param>
public readonly record struct InjectedFault(int Server, double Seconds);

/// <summary>
/// The parametric fault injector: which servers have failed. It takes its chance as numbers, so that the simulator draws them from its counters and a live monitor from a seeded
/// <see cref="Prng"/>; it keeps no time: whoever drives it ends each fault when its seconds are over. 8 bytes per server, nothing is allocated after the beginning.
/// </summary>
public sealed class ParametricFaults
{
    private readonly FaultModel model;

    /// <summary>Every server once: the failed ones first, then the healthy ones.</summary>
    private readonly int[] order;

    private readonly int[] placeOf;

    /// <summary>All servers healthy; <see cref="Begin"/> is to be called <see cref="FaultModel.FailedOf"/> times.</summary>
    /// <param name="model">The fault model.</param>
    /// <param name="servers">How many servers there are.</param>
    /// <exception cref="ArgumentOutOfRangeException">The share or the durations make no sense, or no server would be left healthy.</exception>
    public ParametricFaults(FaultModel model, int servers)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfLessThan(servers, 1);
        bool isSound = model.FailedShare is >= 0 and < 1 && model.MinSeconds > 0 && model.MaxSeconds >= model.MinSeconds && model.FailedOf(servers) < servers;
        if (!isSound)
        {
            throw new ArgumentOutOfRangeException(nameof(model), $"{model} leaves no server of {servers} healthy, or has durations that are none.");
        }

        this.model = model;
        order = new int[servers];
        placeOf = new int[servers];
        for (int server = 0; server < servers; server++)
        {
            order[server] = placeOf[server] = server;
        }
    }

    /// <summary>How many servers have failed now.</summary>
    public int FailedCount { get; private set; }

    /// <summary>The servers that have failed now, in no order that means anything.</summary>
    public ReadOnlySpan<int> Failed => order.AsSpan(0, FailedCount);

    /// <summary>True while the server has failed.</summary>
    public bool IsFailed(int server) => placeOf[server] < FailedCount;

    /// <summary>One more server has failed at the beginning, with what is left of its failure.</summary>
    /// <param name="serverUniform">Chance of which one, from 0 to below 1.</param>
    /// <param name="lengthUniform">Chance of the duration.</param>
    /// <param name="pointUniform">Chance of how far it is.</param>
    public InjectedFault Begin(double serverUniform, double lengthUniform, double pointUniform)
    {
        int healthy = order.Length - FailedCount;
        int server = order[FailedCount + Below(healthy, serverUniform)];
        Swap(placeOf[server], FailedCount++);
        return new InjectedFault(server, model.EquilibriumResidual(lengthUniform, pointUniform));
    }

    /// <summary>A failure is over: its server is healthy, and another one, uniformly any that was healthy, fails. As many have failed as before.</summary>
    /// <param name="ended">The server whose failure is over.</param>
    /// <param name="serverUniform">Chance of which one fails, from 0 to below 1.</param>
    /// <param name="durationUniform">Chance of the duration.</param>
    /// <exception cref="ArgumentException">The server has not failed.</exception>
    public InjectedFault Replace(int ended, double serverUniform, double durationUniform)
    {
        if (!IsFailed(ended))
        {
            throw new ArgumentException($"Server {ended} has not failed.", nameof(ended));
        }

        int next = order[FailedCount + Below(order.Length - FailedCount, serverUniform)];
        Swap(placeOf[ended], placeOf[next]);
        return new InjectedFault(next, model.Duration(durationUniform));
    }

    private static int Below(int limit, double uniform) => Math.Min(limit - 1, (int)(uniform * limit));

    private void Swap(int one, int other)
    {
        (order[one], order[other]) = (order[other], order[one]);
        placeOf[order[one]] = one;
        placeOf[order[other]] = other;
    }
}
