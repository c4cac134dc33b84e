using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Bench.Models;

/// <summary>
/// Launches of guests on servers that fail. A launch picks any server: if that one is down, it hears so after 5 s; otherwise it boots for 30 s and an exponential time more, and has failed at
/// the end of it if the server failed meanwhile. After an exponential time it tries again, until it succeeds.
/// </summary>
/// <remarks>With 20 % of the servers down an attempt succeeds with probability 0.8 · E[exp(-L / 400 s)] = 0.6454 for a boot of length L, so that a launch takes 1.5495 attempts.</remarks>
public sealed class Launches
{
    /// <summary>Attempts of a launch, in closed form.</summary>
    public static readonly double ExpectedAttempts = 1 / (0.8 * Math.Exp(-30.0 / UpS) / (1 + (60.0 / UpS)));

    private const double UpS = 400, LongestDownS = 200, DetectionS = 5, ShortestBootS = 30, FurtherBootS = 60, BackOffS = 30, LaunchesPerS = 20;
    private const uint Arrival = 0, Refused = 1, Booted = 2, Retry = 3, Fails = 4, Heals = 5;

    private readonly EventQueue queue = new();
    private readonly UniformSequence targets;
    private readonly UniformSequence downs;
    private readonly ExponentialSequence gaps, boots, ups, backOffs;
    private readonly int servers;
    private readonly bool[] isDown;
    private readonly uint[] failures;
    private readonly Stack<uint> idle = new();
    private uint[] targetOf = new uint[1024];
    private uint[] failuresBefore = new uint[1024];
    private uint slots;
    private long arrivalsLeft;
    private long unfinished;

    /// <summary>Servers whose failures are in equilibrium.</summary>
    public Launches(int servers, ulong seed)
    {
        this.servers = servers;
        (isDown, failures) = (new bool[servers], new uint[servers]);
        targets = new RandomStream(seed, purpose: 1).Sequence(entity: 0);
        downs = new RandomStream(seed, purpose: 2).Sequence(entity: 0);
        gaps = new RandomStream(seed, purpose: 3).ExponentialSequence(entity: 0);
        boots = new RandomStream(seed, purpose: 4).ExponentialSequence(entity: 0);
        ups = new RandomStream(seed, purpose: 5).ExponentialSequence(entity: 0);
        backOffs = new RandomStream(seed, purpose: 6).ExponentialSequence(entity: 0);
        for (uint server = 0; server < servers; server++)
        {
            isDown[server] = downs.Next() < LongestDownS / 2 / (UpS + (LongestDownS / 2));
            // What is left of a time out of which a moment was picked: the time itself is more likely to be a long one.
            Push(isDown[server] ? LongestDownS * (1 - Math.Sqrt(downs.Next())) : ups.Next(UpS), isDown[server] ? Heals : Fails, server);
        }
    }

    /// <summary>Attempts of the launches that have arrived since the last run began.</summary>
    public long Attempts { get; private set; }

    /// <summary>Lets so many launches arrive and waits for the last one to succeed, so that none is counted in part.</summary>
    public RunSummary Run(long launches)
    {
        (Attempts, arrivalsLeft, unfinished) = (0, launches, launches);
        Push(gaps.Next(1 / LaunchesPerS), Arrival, 0);
        Handler handler = new(this);
        RunSummary all = default;
        while (unfinished > 0)
        {
            all = RunLoop.Run(queue, ref handler, queue.NowNs + (100 * SimTime.Second), all);
        }

        return all;
    }

    private void Handle(uint kind, uint entity)
    {
        switch (kind)
        {
            case Arrival:
                if (--arrivalsLeft > 0)
                {
                    Push(gaps.Next(1 / LaunchesPerS), Arrival, 0);
                }

                Attempt(SlotOfLaunch());
                break;
            case Retry:
                Attempt(entity);
                break;
            case Refused:
                Push(backOffs.Next(BackOffS), Retry, entity);
                break;
            case Booted when failures[targetOf[entity]] == failuresBefore[entity]:
                unfinished--;
                idle.Push(entity);
                break;
            case Booted:
                Push(backOffs.Next(BackOffS), Retry, entity);
                break;
            case Fails:
                isDown[entity] = true;
                failures[entity]++;
                Push(LongestDownS * downs.Next(), Heals, entity);
                break;
            default:
                isDown[entity] = false;
                Push(ups.Next(UpS), Fails, entity);
                break;
        }
    }

    private void Attempt(uint launch)
    {
        Attempts++;
        uint server = (uint)targets.Below(servers);
        (targetOf[launch], failuresBefore[launch]) = (server, failures[server]);
        if (isDown[server])
        {
            Push(DetectionS, Refused, launch);
        }
        else
        {
            Push(ShortestBootS + boots.Next(FurtherBootS), Booted, launch);
        }
    }

    private uint SlotOfLaunch()
    {
        if (idle.TryPop(out uint slot))
        {
            return slot;
        }

        if (slots == targetOf.Length)
        {
            Array.Resize(ref targetOf, targetOf.Length * 2);
            Array.Resize(ref failuresBefore, failuresBefore.Length * 2);
        }

        return slots++;
    }

    private void Push(double delayS, uint kind, uint entity) => queue.Push(queue.NowNs + SimTime.FromSeconds(delayS), kind, entity);

    private readonly struct Handler(Launches model) : IEventHandler
    {
        public void Handle(SimEvent happened) => model.Handle(happened.Kind, happened.Entity);
    }
}
