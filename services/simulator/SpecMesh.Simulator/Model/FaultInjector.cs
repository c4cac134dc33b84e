using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Model;

/// <summary>
/// Keeps exactly as many servers failed at every instant: when a failure ends, another healthy server fails at once. It begins in equilibrium, so that a run needs no time to settle.
/// </summary>
/// <remarks>The failed servers stand in the first <see cref="FailedCount"/> places of one permutation, so that ending one and picking another is an exchange of two entries.</remarks>
public sealed class FaultInjector
{
    private const uint ChoicePurpose = 1;
    private const uint DurationPart = 1;

    private readonly EventQueue queue;
    private readonly RandomStream random;
    private readonly int[] order;
    private readonly ulong[] failedBits;
    private readonly double minSeconds;
    private readonly double maxSeconds;
    private uint failures;

    /// <summary>Picks the first servers to fail and plans the ends of their failures.</summary>
    /// <param name="queue">Receives an event of kind <see cref="EventKind.FaultEnd"/> per failure.</param>
    /// <param name="servers">Servers of the cluster.</param>
    /// <param name="share">Share of them that is failed: round(share · servers), below all of them.</param>
    /// <param name="minSeconds">Shortest failure.</param>
    /// <param name="maxSeconds">Longest failure.</param>
    /// <param name="seed">Seed of the run.</param>
    public FaultInjector(EventQueue queue, int servers, double share, double minSeconds, double maxSeconds, ulong seed)
    {
        this.queue = queue;
        this.minSeconds = minSeconds;
        this.maxSeconds = maxSeconds;
        random = new RandomStream(seed, ChoicePurpose);
        FailedCount = (int)Math.Round(share * servers, MidpointRounding.AwayFromZero);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(FailedCount, servers, nameof(share));
        order = new int[servers];
        failedBits = new ulong[(servers + 63) / 64];
        for (int server = 0; server < servers; server++)
        {
            order[server] = server;
        }

        for (int place = 0; place < FailedCount; place++)
        {
            uint failure = failures++;
            Exchange(place, place + random.Below(servers - place, failure, 0));
            Mark(order[place], failed: true);
            // An observer at a random instant is more likely inside a long failure, and anywhere in it.
            double u = random.Uniform(failure, 0, DurationPart), v = random.Uniform(failure, 1, DurationPart);
            double duration = Math.Sqrt((minSeconds * minSeconds) + (u * ((maxSeconds * maxSeconds) - (minSeconds * minSeconds))));
            queue.Push(SimTime.FromSeconds(duration * v), EventKind.FaultEnd, (uint)place);
        }
    }

    /// <summary>How many servers are failed, always.</summary>
    public int FailedCount { get; }

    /// <summary>Failures that ended, and as many that began after the start.</summary>
    public long Changes => failures - FailedCount;

    /// <summary>Whether a server is failed now.</summary>
    public bool IsFailed(int server) => (failedBits[server >> 6] >> (server & 63) & 1) != 0;

    /// <summary>One failure ends and another begins.</summary>
    /// <param name="place">The event's entity.</param>
    /// <param name="nowNs">The event's time.</param>
    /// <returns>The server that fails now; the one that healed is another.</returns>
    public int Exchange(uint place, long nowNs)
    {
        int healed = order[place];
        uint failure = failures++;
        Exchange((int)place, FailedCount + random.Below(order.Length - FailedCount, failure, 0));
        int failed = order[place];
        Mark(healed, failed: false);
        Mark(failed, failed: true);
        queue.Push(nowNs + SimTime.FromSeconds(random.Uniform(minSeconds, maxSeconds, failure, 0, DurationPart)), EventKind.FaultEnd, place);
        return failed;
    }

    /// <summary>Counts the failed servers one by one: for tests of the invariant.</summary>
    public int CountFailed() => failedBits.Sum(System.Numerics.BitOperations.PopCount);

    private void Exchange(int a, int b) => (order[a], order[b]) = (order[b], order[a]);

    private void Mark(int server, bool failed)
    {
        ulong bit = 1UL << (server & 63);
        failedBits[server >> 6] = failed ? failedBits[server >> 6] | bit : failedBits[server >> 6] & ~bit;
    }
}
