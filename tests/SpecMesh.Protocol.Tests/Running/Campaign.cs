using System.Collections.Concurrent;
using SpecMesh.Protocol.Tests.Checks;

namespace SpecMesh.Protocol.Tests.Running;

/// <summary>Many schedules, on as many threads as asked for: they know nothing of each other.</summary>
/// <param name="from">First seed.</param>
/// <param name="count">How many seeds.</param>
/// <param name="threads">How many at a time.</param>
internal sealed class Campaign(ulong from, ulong count, int threads)
{
    private readonly ulong end = from + count;
    private const ulong ProgressEvery = 1000;

    private readonly Lock gate = new();
    private ulong next = from;
    private ulong done;

    /// <summary>What was seen in all of them.</summary>
    public Coverage Coverage { get; } = new();

    /// <summary>Seeds that violated something.</summary>
    public ConcurrentBag<(ulong Seed, InvariantException Violation)> Failures { get; } = [];

    /// <summary>Stops at so many failures.</summary>
    public int MostFailures { get; init; } = 20;

    public Func<ulong, Plan> PlanOf { get; init; } = seed => new Plan(seed);

    /// <summary>What counts as a failure.</summary>
    public Func<InvariantException, bool> Counts { get; init; } = _ => true;

    public void Run(Action<ulong> progress)
    {
        Thread[] workers = [.. Enumerable.Range(0, threads).Select(_ => new Thread(() => Work(progress)))];
        Array.ForEach(workers, worker => worker.Start());
        Array.ForEach(workers, worker => worker.Join());
    }

    private void Work(Action<ulong> progress)
    {
        while (Failures.Count < MostFailures && Take() is { } seed)
        {
            Cluster cluster = Schedule.Run(PlanOf(seed));
            if (cluster.Violation is { } violation && Counts(violation))
            {
                Failures.Add((seed, violation));
            }

            lock (gate)
            {
                Coverage.Add(cluster.Coverage);
                if (++done % ProgressEvery == 0)
                {
                    progress(done);
                }
            }
        }
    }

    private ulong? Take()
    {
        lock (gate)
        {
            return next < end ? next++ : null;
        }
    }
}
