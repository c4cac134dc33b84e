using System.Diagnostics.Metrics;

namespace SpecMesh.Hosting;

/// <summary>Prometheus' kinds of metric.</summary>
internal enum MetricKind
{
    Counter,
    Gauge,
    Histogram,
}

/// <summary>One metric with all its label sets.</summary>
internal sealed class MetricFamily
{
    /// <summary>More label sets than this share one series, because a label that grows without limit would fill the memory here and in the metrics database.</summary>
    public const int MostSeries = 500;

    /// <summary>Labels of the series for everything beyond <see cref="MostSeries"/>.</summary>
    public const string OverflowLabels = "overflow=\"true\"";

    // From a fraction of a millisecond, a handler on the embedded bus, to minutes, a deadline that waited for a broker.
    private static readonly double[] SecondsBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
    private static readonly double[] OtherBounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

    private readonly bool observed;
    private readonly bool adds;

    private MetricFamily(string name, string help, MetricKind kind, bool observed, bool adds, IReadOnlyList<double> bounds)
    {
        Name = name;
        Help = help;
        Kind = kind;
        Bounds = bounds;
        this.observed = observed;
        this.adds = adds;
    }

    public string Name { get; }

    public string Help { get; }

    public MetricKind Kind { get; }

    /// <summary>Upper bounds of a histogram's buckets, ascending, without infinity.</summary>
    public IReadOnlyList<double> Bounds { get; }

    public SortedDictionary<string, MetricSeries> Series { get; } = new(StringComparer.Ordinal);

    private Dictionary<int, List<(KeyValuePair<string, object?>[] Tags, MetricSeries Series)>> SeriesOfTags { get; } = [];

    public static MetricFamily Of(Instrument instrument)
    {
        Type type = instrument.GetType().GetGenericTypeDefinition();
        MetricKind kind = type == typeof(Histogram<>) ? MetricKind.Histogram
            : type == typeof(Counter<>) || type == typeof(ObservableCounter<>) ? MetricKind.Counter
            : MetricKind.Gauge;
        bool adds = type == typeof(Counter<>) || type == typeof(UpDownCounter<>);
        IReadOnlyList<double> bounds = instrument.Unit == "s" ? SecondsBounds : OtherBounds;
        string name = PrometheusText.Name(instrument.Name, instrument.Unit, kind);
        return new MetricFamily(name, instrument.Description ?? instrument.Name, kind, instrument.IsObservable, adds, bounds);
    }

    /// <summary>Forgets values that are about to be observed again.</summary>
    public void BeginScrape()
    {
        if (observed)
        {
            Series.Clear();
            SeriesOfTags.Clear();
        }
    }

    public void Record(ReadOnlySpan<KeyValuePair<string, object?>> tags, double value)
    {
        MetricSeries series = SeriesOf(tags);
        if (Kind != MetricKind.Histogram)
        {
            // Observed values add up as well: two instruments of one name and one label set share a series, which began empty at this scrape.
            series.Value = adds || observed ? series.Value + value : value;
            return;
        }

        int bucket = 0;
        while (bucket < Bounds.Count && value > Bounds[bucket])
        {
            bucket++;
        }

        series.Buckets[bucket]++;
        series.Value += value;
    }

    /// <summary>Finds the series of tags that came before, in this order, without writing their labels: measurements are many, and label sets few.</summary>
    private MetricSeries SeriesOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        HashCode hash = default;
        foreach (KeyValuePair<string, object?> tag in tags)
        {
            hash.Add(tag.Key);
            hash.Add(tag.Value);
        }

        int code = hash.ToHashCode();
        if (!SeriesOfTags.TryGetValue(code, out List<(KeyValuePair<string, object?>[] Tags, MetricSeries Series)>? candidates))
        {
            candidates = [];
            if (SeriesOfTags.Count < MostSeries)
            {
                SeriesOfTags.Add(code, candidates);
            }
        }

        foreach ((KeyValuePair<string, object?>[] known, MetricSeries series) in candidates)
        {
            if (AreSame(tags, known))
            {
                return series;
            }
        }

        MetricSeries found = SeriesOf(PrometheusText.Labels(tags));
        candidates.Add((tags.ToArray(), found));
        return found;
    }

    private static bool AreSame(ReadOnlySpan<KeyValuePair<string, object?>> tags, KeyValuePair<string, object?>[] known)
    {
        if (tags.Length != known.Length)
        {
            return false;
        }

        for (int i = 0; i < known.Length; i++)
        {
            if (tags[i].Key != known[i].Key || !Equals(tags[i].Value, known[i].Value))
            {
                return false;
            }
        }

        return true;
    }

    private MetricSeries SeriesOf(string labels)
    {
        string kept = Series.ContainsKey(labels) || Series.Count < MostSeries ? labels : OverflowLabels;
        if (!Series.TryGetValue(kept, out MetricSeries? series))
        {
            Series.Add(kept, series = new MetricSeries(Kind == MetricKind.Histogram ? Bounds.Count + 1 : 0));
        }

        return series;
    }
}

/// <summary>One label set: a value or, for a histogram, the sum and how many values fell into each bucket.</summary>
internal sealed class MetricSeries(int buckets)
{
    public double Value { get; set; }

    public long[] Buckets { get; } = new long[buckets];
}
