using System.Diagnostics.Metrics;

namespace SpecMesh.Hosting;

/// <summary>Listens to the process's instruments and writes their state in Prometheus' text format, version 0.0.4.</summary>
internal sealed class MetricsCollector : IDisposable
{
    private const string BusMeter = "MassTransit";
    private static readonly string[] Meters = [MeshMetrics.MeterName, BusMeter, "Npgsql", "Microsoft.AspNetCore.", "System.Runtime", "System.Net.Http"];

    private readonly Lock gate = new();
    private readonly SortedDictionary<string, MetricFamily> families = new(StringComparer.Ordinal);
    private readonly MeterListener listener = new();

    public MetricsCollector(IMeterFactory own)
    {
        listener.InstrumentPublished = (instrument, source) =>
        {
            // A meter with a scope belongs to one host's factory: another host in the same process collects its own. The bus library has one for the whole process.
            bool ours = instrument.Meter.Scope is null || ReferenceEquals(instrument.Meter.Scope, own) || instrument.Meter.Name == BusMeter;
            if (ours && Meters.Any(meter => instrument.Meter.Name.StartsWith(meter, StringComparison.Ordinal)))
            {
                source.EnableMeasurementEvents(instrument, FamilyOf(instrument));
            }
        };
        listener.SetMeasurementEventCallback<double>((_, value, tags, state) => Record(state, value, tags));
        listener.SetMeasurementEventCallback<float>((_, value, tags, state) => Record(state, value, tags));
        listener.SetMeasurementEventCallback<decimal>((_, value, tags, state) => Record(state, (double)value, tags));
        listener.SetMeasurementEventCallback<long>((_, value, tags, state) => Record(state, value, tags));
        listener.SetMeasurementEventCallback<int>((_, value, tags, state) => Record(state, value, tags));
        listener.SetMeasurementEventCallback<short>((_, value, tags, state) => Record(state, value, tags));
        listener.SetMeasurementEventCallback<byte>((_, value, tags, state) => Record(state, value, tags));
        listener.Start();
    }

    /// <summary>The text of one scrape.</summary>
    public string Collect()
    {
        lock (gate)
        {
            // Values that are asked for are asked anew: a label set that is gone must not linger.
            foreach (MetricFamily family in families.Values)
            {
                family.BeginScrape();
            }

            listener.RecordObservableInstruments();
            return PrometheusText.Write(families.Values);
        }
    }

    public void Dispose() => listener.Dispose();

    private MetricFamily FamilyOf(Instrument instrument)
    {
        MetricFamily family = MetricFamily.Of(instrument);
        lock (gate)
        {
            if (!families.TryGetValue(family.Name, out MetricFamily? known))
            {
                families.Add(family.Name, known = family);
            }

            return known;
        }
    }

    private void Record(object? state, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        MetricFamily family = (MetricFamily)state!;
        lock (gate)
        {
            family.Record(tags, value);
        }
    }
}
