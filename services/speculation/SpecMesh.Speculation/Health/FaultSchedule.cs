namespace SpecMesh.Speculation.Health;

/// <summary>
/// The parametric fault injector over named hosts and time: which hosts have failed now, and until when. The same seed over the same hosts gives the same faults at the same times after the
/// beginning, however seldom it is asked.
/// </summary>
public sealed class FaultSchedule
{
    private readonly ParametricFaults faults;
    private readonly string[] hostIds;
    private readonly Prng random;
    private readonly SortedDictionary<string, double> untilSeconds = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> numberOf = new(StringComparer.Ordinal);

    /// <summary>Exactly <see cref="FaultModel.FailedOf"/> hosts have failed from here on, in equilibrium.</summary>
    /// <param name="model">The fault model.</param>
    /// <param name="hostIds">The hosts, each once.</param>
    /// <param name="seed">Where all chance comes from.</param>
    /// <param name="nowSeconds">Present time in seconds, since any beginning.</param>
    /// <exception cref="ArgumentOutOfRangeException">The model makes no sense, or leaves none of these hosts healthy.</exception>
    public FaultSchedule(FaultModel model, IEnumerable<string> hostIds, ulong seed, double nowSeconds)
    {
        ArgumentNullException.ThrowIfNull(model);
        this.hostIds = [.. hostIds.Order(StringComparer.Ordinal)];
        faults = new ParametricFaults(model, this.hostIds.Length);
        random = new Prng(seed);
        for (int host = 0; host < this.hostIds.Length; host++)
        {
            numberOf.Add(this.hostIds[host], host);
        }

        for (int failed = model.FailedOf(this.hostIds.Length); failed > 0; failed--)
        {
            Note(faults.Begin(random.NextDouble(), random.NextDouble(), random.NextDouble()), nowSeconds);
        }
    }

    /// <summary>The hosts that faults are spread over, in the order of their ids.</summary>
    public IReadOnlyList<string> HostIds => hostIds;

    /// <summary>The hosts that have failed, each with the time when its fault is over.</summary>
    public IReadOnlyDictionary<string, double> UntilSeconds => untilSeconds;

    /// <summary>Time goes on: every fault that is over by then is replaced by one on another host, at the moment when it was over.</summary>
    public void AdvanceTo(double nowSeconds)
    {
        while (untilSeconds.Count > 0 && untilSeconds.MinBy(fault => fault.Value) is { } first && first.Value <= nowSeconds)
        {
            untilSeconds.Remove(first.Key);
            Note(faults.Replace(numberOf[first.Key], random.NextDouble(), random.NextDouble()), first.Value);
        }
    }

    private void Note(InjectedFault fault, double atSeconds) => untilSeconds[hostIds[fault.Server]] = atSeconds + fault.Seconds;
}
