using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>The library's own instruments. Every tag has few values: services, queues, message types, subscriptions.</summary>
internal sealed class MeshMetrics
{
    public const string MeterName = "SpecMesh";

    private readonly Histogram<double> handled;
    private readonly Counter<long> retried;
    private readonly Counter<long> published;
    private readonly Histogram<double> outboxDelay;
    private readonly Counter<long> dispatchFailures;
    private readonly Counter<long> readerFailures;
    private readonly ConcurrentDictionary<string, double> lags = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, long> positions = new(StringComparer.Ordinal);

    public MeshMetrics(IMeterFactory meters)
    {
        Meter meter = meters.Create(MeterName);
        handled = meter.CreateHistogram<double>("specmesh.handler.duration", "s", "Time to handle a message, with its commit and its further attempts.");
        retried = meter.CreateCounter<long>("specmesh.handler.retries", "{attempt}", "Attempts that were repeated, by reason: conflict or store.");
        published = meter.CreateCounter<long>("specmesh.outbox.published", "{message}", "Messages that the broker has confirmed.");
        outboxDelay = meter.CreateHistogram<double>("specmesh.outbox.delay", "s", "Time from the moment a message was due to the broker's confirmation.");
        dispatchFailures = meter.CreateCounter<long>("specmesh.outbox.failures", "{batch}", "Batches that could not be published and stay in the store.");
        readerFailures = meter.CreateCounter<long>("specmesh.reader.failures", "{failure}", "Events that a subscription or view could not handle yet.");
        meter.CreateObservableGauge(
            "specmesh.outbox.lag",
            () => lags.Select(lag => new Measurement<double>(lag.Value, Tag("service", lag.Key))),
            "s",
            "Age of the oldest message that is due and not yet published.");
        meter.CreateObservableGauge(
            "specmesh.reader.position",
            () => positions.Select(at => new Measurement<long>(at.Value, Tag("reader", at.Key))),
            "{event}",
            "Sequence number of the last event that a subscription or view has handled.");
    }

    /// <summary>Measures one handling; it counts as failed unless it is told otherwise.</summary>
    public Handling Handle<T>(Attempted what) => new(handled, what, typeof(T).Name);

    public void Retried(Attempted what, string reason) => retried.Add(1, Tag("endpoint", what.Endpoint), Tag("reason", reason));

    public void Published(string service, OutboxMessage message, DateTimeOffset now)
    {
        published.Add(1, Tag("service", service), Tag("message", message.Alias));
        outboxDelay.Record(Math.Max(0, (now - message.DueAt).TotalSeconds), Tag("service", service));
    }

    public void DispatchFailed(string service) => dispatchFailures.Add(1, Tag("service", service));

    public void OutboxLag(string service, TimeSpan lag) => lags[service] = lag.TotalSeconds;

    public void ReaderFailed(string reader) => readerFailures.Add(1, Tag("reader", reader));

    public void ReaderAt(string reader, long sequence) => positions[reader] = sequence;

    private static KeyValuePair<string, object?> Tag(string key, string value) => new(key, value);

    /// <summary>One message being handled.</summary>
    public sealed class Handling(Histogram<double> handled, Attempted what, string message) : IDisposable
    {
        private readonly long started = Stopwatch.GetTimestamp();
        private string outcome = "failed";

        public void Succeeded() => outcome = "succeeded";

        public void Dispose() => handled.Record(
            Stopwatch.GetElapsedTime(started).TotalSeconds,
            Tag("service", what.Service),
            Tag("endpoint", what.Endpoint),
            Tag("message", message),
            Tag("outcome", outcome));
    }
}
