using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace SpecMesh.ControlPlane.Bench.Agents;

/// <summary>Samples of the pauses, in milliseconds, as one request for them returns them.</summary>
/// <param name="Pause">From the source's suspension to the target's start.</param>
/// <param name="Ownership">From the source's decision to vote to the target's word that the guest runs: journal, vote, append, start, word.</param>
/// <param name="Append">The ownership call alone, as the target sees it.</param>
internal sealed record PauseSamples(IReadOnlyList<double> Pause, IReadOnlyList<double> Ownership, IReadOnlyList<double> Append);

/// <summary>Times what a pause is made of. All agents live in this process, so that one clock sees both ends.</summary>
internal sealed class PauseClock : IDisposable
{
    private readonly ConcurrentDictionary<string, long> suspended = new(StringComparer.Ordinal);
    private readonly MeterListener listener = new();
    private ConcurrentQueue<double> pauses = new();
    private ConcurrentQueue<double> ownership = new();
    private ConcurrentQueue<double> appends = new();

    public PauseClock()
    {
        listener.InstrumentPublished = (instrument, source) =>
        {
            if (instrument.Name == "specmesh.agent.ownership")
            {
                source.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<double>((_, value, _, _) => ownership.Enqueue(value));
        listener.Start();
    }

    public void Suspended(string vmId) => suspended[vmId] = Stopwatch.GetTimestamp();

    public void Started(string vmId)
    {
        if (suspended.TryRemove(vmId, out long since))
        {
            pauses.Enqueue(Stopwatch.GetElapsedTime(since).TotalMilliseconds);
        }
    }

    public void Appended(TimeSpan took) => appends.Enqueue(took.TotalMilliseconds);

    /// <summary>What was sampled since the last call.</summary>
    public PauseSamples Take() => new(
        [.. Interlocked.Exchange(ref pauses, new())],
        [.. Interlocked.Exchange(ref ownership, new())],
        [.. Interlocked.Exchange(ref appends, new())]);

    public void Dispose() => listener.Dispose();
}
