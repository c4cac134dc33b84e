namespace SpecMesh.Speculation.Replication;

/// <summary>
/// Failure probabilities of a fleet whose servers and racks are numbered: discounted outcomes per server, shrunk to its rack, which is shrunk to the cluster, which begins at a prior.
/// One outcome costs three additions, one estimate a division; nothing is allocated after the beginning. 16 bytes per server.
/// </summary>
/// <remarks>
/// Old outcomes are not faded one by one: new ones get a weight that doubles with every half-life, which gives the same quotients. Before the weight leaves the range of a
/// <see cref="double"/> everything is scaled down once.
/// </remarks>
public sealed class FailureRates
{
    private const double LargestWeight = 1e60;

    private readonly EstimationOptions options;
    private readonly int[] rackOf;
    private readonly Counts[] servers;
    private readonly Counts[] racks;
    private Counts cluster;
    private double weight = 1;
    private double weightIsOneAtSeconds;
    private double nowSeconds;

    /// <summary>A fleet of which nothing is known.</summary>
    /// <param name="rackOf">Rack of each server, from 0.</param>
    /// <param name="options">How rates are estimated.</param>
    public FailureRates(int[] rackOf, EstimationOptions options)
    {
        ArgumentNullException.ThrowIfNull(rackOf);
        this.options = options;
        this.rackOf = rackOf;
        servers = new Counts[rackOf.Length];
        racks = new Counts[rackOf.Length == 0 ? 0 : rackOf.Max() + 1];
        ClusterMean = MeanOf(cluster);
    }

    /// <summary>Probability that a replica fails on a server that nothing is known of, in a rack that nothing is known of.</summary>
    public double ClusterMean { get; private set; }

    /// <summary>Time goes on; it never goes back.</summary>
    /// <param name="seconds">Present time in seconds, since any beginning.</param>
    public void AdvanceTo(double seconds)
    {
        if (seconds <= nowSeconds)
        {
            return;
        }

        nowSeconds = seconds;
        weight = Math.Pow(2, (seconds - weightIsOneAtSeconds) / options.HalfLifeSeconds);
        if (weight > LargestWeight)
        {
            Rescale();
        }

        ClusterMean = MeanOf(cluster);
    }

    /// <summary>Takes in how a replica on this server ended.</summary>
    public void Observe(int server, Evidence evidence)
    {
        if (evidence == Evidence.Censored)
        {
            return;
        }

        double failures = evidence == Evidence.Failed ? weight : 0;
        servers[server].Add(failures, weight);
        racks[rackOf[server]].Add(failures, weight);
        cluster.Add(failures, weight);
        ClusterMean = MeanOf(cluster);
    }

    /// <summary>Probability that a replica fails on a server of this rack that nothing is known of.</summary>
    public double RackMean(int rack) => Shrunk(racks[rack], ClusterMean);

    /// <summary>Probability that a replica fails on this server: the posterior mean.</summary>
    public double Of(int server) => Shrunk(servers[server], RackMean(rackOf[server]));

    /// <summary>How many observations of this server still count, as if they were fresh.</summary>
    public double ObservationsOf(int server) => servers[server].Total / weight;

    private double Shrunk(Counts counts, double meanAbove)
    {
        double pseudo = options.PseudoObservations * weight;
        return ((pseudo * meanAbove) + counts.Failures) / (pseudo + counts.Total);
    }

    private double MeanOf(Counts counts) =>
        ((options.PriorFailures * weight) + counts.Failures) / (((options.PriorFailures + options.PriorSuccesses) * weight) + counts.Total);

    private void Rescale()
    {
        double fade = 1 / weight;
        foreach (ref Counts counts in servers.AsSpan())
        {
            counts.Fade(fade);
        }

        foreach (ref Counts counts in racks.AsSpan())
        {
            counts.Fade(fade);
        }

        cluster.Fade(fade);
        weight = 1;
        weightIsOneAtSeconds = nowSeconds;
    }

    private struct Counts
    {
        public double Failures;
        public double Total;

        public void Add(double failures, double total)
        {
            Failures += failures;
            Total += total;
        }

        public void Fade(double fade)
        {
            Failures *= fade;
            Total *= fade;
        }
    }
}
