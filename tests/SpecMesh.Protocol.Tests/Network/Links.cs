using SpecMesh.Protocol.Tests.Engine;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Speculation;

namespace SpecMesh.Protocol.Tests.Network;

/// <summary>What connects the machines: how long something takes, and who cannot reach whom. A cut is in one direction; a partition in both is two cuts.</summary>
internal sealed class Links(Scheduler scheduler, FaultSource faults, Prng random, int nodes)
{
    private readonly long[,] cutUntil = new long[nodes, nodes];

    /// <summary>Random numbers of delays and of choices that are no faults.</summary>
    public Prng Random { get; } = random;

    /// <summary>True when nothing that is sent now arrives.</summary>
    public bool IsCut(Node from, Node to) => cutUntil[from.Index, to.Index] > scheduler.Ticks;

    /// <summary>When the cut in this direction will be over; now when there is none.</summary>
    public TimeSpan UntilHealed(Node from, Node to) => TimeSpan.FromTicks(Math.Max(0, cutUntil[from.Index, to.Index] - scheduler.Ticks));

    /// <summary>Nothing from here arrives there for some time.</summary>
    public void Cut(Node from, Node to, TimeSpan time) => cutUntil[from.Index, to.Index] = Math.Max(cutUntil[from.Index, to.Index], scheduler.Ticks + time.Ticks);

    /// <summary>Everybody reaches everybody again.</summary>
    public void Heal() => Array.Clear(cutUntil);

    /// <summary>A delay: mostly milliseconds, sometimes long enough to be overtaken by anything.</summary>
    public TimeSpan Delay()
    {
        double usualMs = Random.Uniform(0.2, 20);
        return TimeSpan.FromMilliseconds(faults.Strikes(Fault.MessageDelayed) ? faults.RandomOf(Fault.MessageDelayed).Uniform(0, 6000) : usualMs);
    }
}
