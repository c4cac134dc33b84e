using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Bench.Models;

/// <summary>M/M/c: customers who arrive independently, wait for one of c servers in the order in which they came, and keep it for an exponential time. Two events for each customer.</summary>
public sealed class MultiServerQueue
{
    /// <summary>Mean of the service, in seconds.</summary>
    public const double ServiceS = 100;

    private const uint Arrival = 0, Departure = 1;

    private readonly int servers;
    private readonly double gapNs;
    private readonly ExponentialSequence gaps;
    private readonly ExponentialSequence services;
    private readonly EventQueue queue = new();
    private readonly Queue<long> waiting = new();
    private int busy;

    /// <summary>An empty system before its first customer.</summary>
    /// <param name="servers">How many servers.</param>
    /// <param name="load">Which share of their time they work.</param>
    public MultiServerQueue(int servers, double load, ulong seed)
    {
        this.servers = servers;
        gapNs = ServiceS / (servers * load) * SimTime.Second;
        gaps = new RandomStream(seed, purpose: 1).ExponentialSequence(entity: 0);
        services = new RandomStream(seed, purpose: 2).ExponentialSequence(entity: 0);
        queue.Push((long)gaps.Next(gapNs), Arrival, 0);
    }

    /// <summary>Customers who have begun to be served.</summary>
    public long Served { get; private set; }

    /// <summary>Customers of them who had to wait.</summary>
    public long Waited { get; private set; }

    /// <summary>Mean time from arrival to the beginning of the service, in seconds.</summary>
    public double MeanWaitS => SimTime.ToSeconds(waitedNs) / Served;

    private long waitedNs;

    /// <summary>Share of customers who have to wait, in closed form (Erlang C, from Erlang B by its recursion over the servers).</summary>
    public static double ExpectedShareWaiting(int servers, double load)
    {
        double blocked = 1;
        for (int server = 1; server <= servers; server++)
        {
            blocked = servers * load * blocked / (server + (servers * load * blocked));
        }

        return blocked / (1 - (load * (1 - blocked)));
    }

    /// <summary>Mean wait in closed form, in seconds.</summary>
    public static double ExpectedMeanWaitS(int servers, double load) => ExpectedShareWaiting(servers, load) * ServiceS / (servers * (1 - load));

    /// <summary>Lets so many customers arrive, and forgets what was counted before.</summary>
    public RunSummary Run(long customers)
    {
        (Served, Waited, waitedNs) = (0, 0, 0);
        Handler handler = new(this);
        return RunLoop.Run(queue, ref handler, queue.NowNs + (long)(customers * gapNs));
    }

    private void Arrive()
    {
        queue.Push(queue.NowNs + (long)gaps.Next(gapNs), Arrival, 0);
        if (busy < servers)
        {
            busy++;
            Serve(queue.NowNs);
        }
        else
        {
            Waited++;
            waiting.Enqueue(queue.NowNs);
        }
    }

    private void Depart()
    {
        if (waiting.TryDequeue(out long arrivedNs))
        {
            Serve(arrivedNs);
        }
        else
        {
            busy--;
        }
    }

    private void Serve(long arrivedNs)
    {
        Served++;
        waitedNs += queue.NowNs - arrivedNs;
        queue.Push(queue.NowNs + (long)services.Next(ServiceS * SimTime.Second), Departure, 0);
    }

    private readonly struct Handler(MultiServerQueue model) : IEventHandler
    {
        public void Handle(SimEvent happened)
        {
            if (happened.Kind == Arrival)
            {
                model.Arrive();
            }
            else
            {
                model.Depart();
            }
        }
    }
}
