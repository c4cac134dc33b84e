using SpecMesh.Speculation.Health;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.Tests.Replication;

/// <summary>
/// The scenario of facts protocol, section 4: 1024 servers in 32 racks; phases in which 3 % of the servers have failed, then 30 % and a whole rack, then 10 % and three racks. Operations come
/// at a steady pace; a replica on a failed server fails after 1 to 5 s, the others of an operation end after 60 s, and one of them wins. What is learnt is learnt only then, and of
/// losers nothing. A server runs two replicas at most at a time.
/// </summary>
internal sealed class PhasedScenario
{
    private const int Servers = 1024, Racks = 32, Slots = 2;
    private const double PhaseSeconds = 7200, OperationsPerSecond = 2, NormalSeconds = 60;

    private static readonly (double FailedShare, int RacksOut)[] Phases = [(0.03, 0), (0.30, 1), (0.10, 3)];

    private readonly int[] rackOf = [.. Enumerable.Range(0, Servers).Select(server => server % Racks)];
    private readonly int[] busy = new int[Servers];
    private readonly HashSet<int> racksOut = [];
    private readonly PriorityQueue<(int Server, Evidence Evidence), double> endings = new();
    private readonly PriorityQueue<int, double> faultEnds = new();
    private readonly Candidate[] candidates = new Candidate[Servers];
    private readonly Prng faultChance;
    private readonly Prng choiceChance;
    private readonly FailureRates rates;
    private ParametricFaults faults = new(new FaultModel(0), Servers);

    public PhasedScenario(ulong seed)
    {
        // One seed, two sources of chance: every policy meets the same faults.
        faultChance = new Prng(seed);
        choiceChance = new Prng(~seed);
        rates = new FailureRates(rackOf, EstimationOptions.Default);
    }

    /// <summary>Chooses targets among the candidates, of which the first so many are filled.</summary>
    public delegate int Policy(PhasedScenario scenario, ReadOnlySpan<Candidate> candidates, Span<Candidate> chosen);

    public int Operations { get; private set; }

    public int Succeeded { get; private set; }

    public int Replicas { get; private set; }

    public double Success => (double)Succeeded / Operations;

    public double ReplicasPerOperation => (double)Replicas / Operations;

    public Prng Chance => choiceChance;

    public PhasedScenario Run(Policy policy)
    {
        double now = 0;
        foreach ((double failedShare, int out_) in Phases)
        {
            BeginPhase(now, failedShare, out_);
            for (double end = now + PhaseSeconds; now < end; now += 1 / OperationsPerSecond)
            {
                Catch(now);
                Operate(now, policy);
            }
        }

        return this;
    }

    private void BeginPhase(double now, double failedShare, int out_)
    {
        faults = new ParametricFaults(new FaultModel(failedShare), Servers);
        faultEnds.Clear();
        for (int i = 0; i < new FaultModel(failedShare).FailedOf(Servers); i++)
        {
            InjectedFault fault = faults.Begin(faultChance.NextDouble(), faultChance.NextDouble(), faultChance.NextDouble());
            faultEnds.Enqueue(fault.Server, now + fault.Seconds);
        }

        racksOut.Clear();
        racksOut.UnionWith(faultChance.Shuffle(Enumerable.Range(0, Racks)).Take(out_));
    }

    /// <summary>What has happened until now: failures that ended, replicas that ended.</summary>
    private void Catch(double now)
    {
        while (faultEnds.TryPeek(out int ended, out double at) && at <= now)
        {
            faultEnds.Dequeue();
            InjectedFault next = faults.Replace(ended, faultChance.NextDouble(), faultChance.NextDouble());
            faultEnds.Enqueue(next.Server, at + next.Seconds);
        }

        while (endings.TryPeek(out (int Server, Evidence Evidence) ending, out double at) && at <= now)
        {
            endings.Dequeue();
            busy[ending.Server]--;
            rates.AdvanceTo(at);
            rates.Observe(ending.Server, ending.Evidence);
        }

        rates.AdvanceTo(now);
    }

    private void Operate(double now, Policy policy)
    {
        // A random place to begin with: equals are not always taken in the same order.
        int first = choiceChance.NextInt(Servers);
        int count = 0;
        for (int i = 0; i < Servers; i++)
        {
            int server = (first + (i * 331)) % Servers;
            if (busy[server] < Slots)
            {
                candidates[count++] = new Candidate(server, rackOf[server], rates.Of(server));
            }
        }

        Candidate[] chosen = new Candidate[AdaptiveReplication.MostReplicas];
        int replicas = policy(this, candidates.AsSpan(0, count), chosen);
        Span<Candidate> started = chosen.AsSpan(0, replicas);
        int winner = -1;
        int alive = 0;
        foreach (Candidate replica in started)
        {
            // The winner is any of those that do not fail.
            winner = !HasFailed(replica.Host) && choiceChance.NextInt(++alive) == 0 ? replica.Host : winner;
        }

        foreach (Candidate replica in started)
        {
            busy[replica.Host]++;
            (Evidence evidence, double after) = HasFailed(replica.Host)
                ? (Evidence.Failed, choiceChance.Uniform(1, 5))
                : (replica.Host == winner ? Evidence.Succeeded : Evidence.Censored, NormalSeconds);
            endings.Enqueue((replica.Host, evidence), now + after);
        }

        Operations++;
        Replicas += replicas;
        Succeeded += alive > 0 ? 1 : 0;
    }

    private bool HasFailed(int server) => faults.IsFailed(server) || racksOut.Contains(rackOf[server]);

    /// <summary>The adaptive policy at its defaults, with a number of replicas that does not swing.</summary>
    public static Policy Adaptive(AdaptiveOptions options)
    {
        int before = 0;
        return (_, candidates, chosen) => before = AdaptiveReplication.Choose(options, candidates, int.MaxValue, before, chosen).Replicas;
    }

    /// <summary>As many replicas on servers of different racks, any of them.</summary>
    public static Policy Fixed(int replicas) => (scenario, candidates, chosen) =>
    {
        int found = 0;
        while (found < replicas)
        {
            Candidate drawn = candidates[scenario.Chance.NextInt(candidates.Length)];
            if (!chosen[..found].ToArray().Any(other => other.Domain == drawn.Domain))
            {
                chosen[found++] = drawn;
            }
        }

        return found;
    };
}
