using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Bench;

/// <summary>The queue alone, at a size that does not change: take the earliest event, put it back later (Jones, "An empirical comparison of priority-queue and event-set implementations", 1986).</summary>
internal sealed class HoldModel
{
    /// <summary>Increments by name. Bimodal: nine of ten within a tenth of a second, the others after nine. Pareto: an infinite variance.</summary>
    public static readonly IReadOnlyList<(string Name, Func<RandomStream, uint, double> Seconds)> Increments =
    [
        ("exponential", (random, i) => random.Exponential(1, 0, i)),
        ("bimodal", (random, i) => random.Uniform(1, i) < 0.9 ? random.Uniform(0, 0.1, 0, i) : random.Uniform(9.1, 10.1, 0, i)),
        ("pareto", (random, i) => PortableMath.Exp(random.Exponential(1 / 1.5, 0, i))),
    ];

    private readonly EventQueue queue = new();

    // Made beforehand, so that only the queue is timed; a prime number of them, so that they meet the events in ever new ways.
    private readonly long[] increments = new long[16381];
    private readonly int pending;
    private int next;

    public HoldModel(Func<RandomStream, uint, double> seconds, int pending)
    {
        this.pending = pending;
        RandomStream random = new(seed: 1, purpose: 1);
        for (uint i = 0; i < increments.Length; i++)
        {
            increments[i] = SimTime.FromSeconds(seconds(random, i));
        }

        for (int i = 0; i < pending; i++)
        {
            queue.Push(increments[i % increments.Length], 0, (uint)i);
        }
    }

    /// <summary>Runs one segment and returns how many holds it was.</summary>
    public long Segment()
    {
        int holds = Math.Max(1_000_000, 2 * pending);
        for (int i = 0; i < holds; i++)
        {
            queue.TryPop(out SimEvent taken);
            queue.Push(taken.TimeNs + increments[next], taken.Kind, taken.Entity);
            next = next + 1 == increments.Length ? 0 : next + 1;
        }

        return holds;
    }
}
