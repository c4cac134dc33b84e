using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;

namespace SpecMesh.Speculation.Tests.Costs;

/// <summary>
/// A race of replicas, second by second, for the judge of costs: each copies at its own rate while the guest dirties its memory, and a round begins when the one before has been sent.
/// </summary>
internal sealed class Race
{
    public const long Memory = 1L << 30;
    public const double MiB = 1 << 20;

    private readonly CostLimits limits;
    private readonly double dirtyBytesPerSecond;
    private readonly List<Runner> runners = [];

    public Race(CostLimits limits, double dirtyMibPerSecond)
    {
        this.limits = limits;
        dirtyBytesPerSecond = dirtyMibPerSecond * MiB;
    }

    public List<(double AtSeconds, CostFinding Finding)> Aborted { get; } = [];

    public double NowSeconds { get; private set; }

    public IEnumerable<int> Live => runners.Where(runner => runner.IsLive).Select(runner => runner.Sibling.Replica);

    /// <summary>A replica joins now.</summary>
    public Race Join(double mibPerSecond)
    {
        runners.Add(new Runner(runners.Count, mibPerSecond * MiB, NowSeconds));
        return this;
    }

    public Race Vote(int replica)
    {
        runners[replica].Sibling.IsVoted = true;
        return this;
    }

    public Race Rate(int replica, double mibPerSecond)
    {
        runners[replica].BytesPerSecond = mibPerSecond * MiB;
        return this;
    }

    public Race Run(int seconds)
    {
        for (int i = 0; i < seconds; i++)
        {
            NowSeconds++;
            foreach (Runner runner in runners.Where(runner => runner.IsLive))
            {
                runner.Advance(NowSeconds, dirtyBytesPerSecond);
            }

            Judge();
        }

        return this;
    }

    private void Judge()
    {
        List<Runner> live = [.. runners.Where(runner => runner.IsLive)];
        Sibling[] siblings = [.. live.Select(runner => runner.Sibling)];
        CostFinding[] findings = new CostFinding[siblings.Length];
        OperationCost cost = new(runners.Sum(runner => runner.Sibling.Now.BytesSent), 0, runners.Sum(runner => runner.Sibling.MemoryGibSeconds), dirtyBytesPerSecond);
        int found = CostPolicies.Judge(limits, ProgressOptions.Default, cost, siblings, findings);
        for (int i = 0; i < live.Count; i++)
        {
            live[i].Sibling = siblings[i];
        }

        foreach (CostFinding finding in findings.AsSpan(0, found))
        {
            Aborted.Add((NowSeconds, finding));
            runners[finding.Replica].IsLive = false;
        }
    }

    private sealed class Runner(int replica, double bytesPerSecond, double joinedAtSeconds)
    {
        private double remaining = Memory;
        private double dirtied;
        private double sent;

        public Sibling Sibling = new(replica, Memory);

        public double BytesPerSecond { get; set; } = bytesPerSecond;

        public bool IsLive { get; set; } = true;

        public void Advance(double nowSeconds, double dirtyBytesPerSecond)
        {
            double now = Math.Min(remaining, BytesPerSecond);
            remaining -= now;
            sent += now;
            dirtied = Math.Min(Memory, dirtied + dirtyBytesPerSecond);
            if (remaining <= 0)
            {
                (remaining, dirtied) = (dirtied, 0);
                Sibling.EndRound((long)remaining, ProgressOptions.Default);
            }

            Sibling.Now = new ReplicaStanding(nowSeconds - joinedAtSeconds, (long)sent, 0, (long)remaining, BytesPerSecond);
        }
    }
}
