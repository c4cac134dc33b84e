using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Model;
using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Tests.Model;

/// <summary>Each limit of a migration's cost ends what it is for, and leaves what must be left. One operation at a time, on a cluster in which half of the servers are slow.</summary>
public sealed class MigrationCostsTests
{
    private static readonly Parameters HalfSlow = Parameters.Default with { SlowShare = 0.5, VmsPerServer = 10 };

    [Fact]
    public void a_slow_target_is_ended_by_its_progress_and_the_fast_one_wins()
    {
        OneOperation race = new(HalfSlow with { MinProgress = 0.3 });
        int[] fast = race.Fast(1);
        race.Run(fast, race.Slow(1));
        Assert.Equal(fast, new[] { race.Winner });
        Assert.Equal([("progress-late", 1L)], race.Aborts);
        // Ten seconds of grace and three windows; then the fast stream has the link for itself, and the slow one costs no more.
        Assert.InRange(race.AbortedAtSeconds, 12, 14);
    }

    [Fact]
    public void without_a_limit_the_slow_target_sends_until_the_race_is_won()
    {
        OneOperation race = new(HalfSlow);
        int[] fast = race.Fast(1);
        race.Run(fast, race.Slow(1));
        Assert.Equal(fast, new[] { race.Winner });
        Assert.Empty(race.Aborts);
    }

    [Fact]
    public void guests_that_never_converge_are_ended_by_their_bytes_all_but_the_best()
    {
        Parameters busy = HalfSlow with { WorkingSetShare = 0.5, DirtyMinPagesPerSecond = 200_000, DirtyMaxPagesPerSecond = 200_000 };
        OneOperation unlimited = new(busy), race = new(busy with { MaxBytesFactor = 1.5 });
        unlimited.Run(unlimited.Fast(3));
        race.Run(race.Fast(3));
        Assert.Empty(unlimited.Aborts);
        Assert.Equal([("bytes", 2L)], race.Aborts);
        Assert.NotEqual(-1, race.Winner);
        Assert.InRange(race.SentBytes / race.MemoryBytes, 5, 6.5);
        // Pre-copy itself ends at three times the memory, for each of the three.
        Assert.InRange(unlimited.SentBytes / unlimited.MemoryBytes, 9, 9.5);
    }

    [Fact]
    public void a_guest_of_the_defaults_is_never_ended_by_its_bytes_because_it_has_less_than_a_tenth_left_after_its_first_round()
    {
        OneOperation race = new(HalfSlow with { MaxBytesFactor = 1, DirtyMinPagesPerSecond = 10_000 });
        race.Run(race.Fast(3));
        Assert.Empty(race.Aborts);
        Assert.InRange(race.SentBytes / race.MemoryBytes, 3, 3.3);
    }

    [Theory]
    [InlineData("timeout")]
    [InlineData("progress")]
    public void when_all_targets_are_slow_the_last_replica_is_kept_and_wins(string limit)
    {
        OneOperation race = new(limit == "timeout" ? HalfSlow with { TimeoutSeconds = 20 } : HalfSlow with { MinProgress = 0.9 });
        race.Run(race.Slow(3));
        Assert.NotEqual(-1, race.Winner);
        Assert.Equal(limit == "timeout" ? [("timeout", 2L)] : [], race.Aborts);
    }

    [Fact]
    public void the_last_replica_is_ended_where_that_is_asked_for()
    {
        OneOperation race = new(HalfSlow with { TimeoutSeconds = 20, AbortLast = true });
        race.Run(race.Slow(3));
        Assert.Equal(-1, race.Winner);
        Assert.Equal([("timeout", 3L)], race.Aborts);
        Assert.InRange(race.EndedAtSeconds, 20, 21);
    }

    [Fact]
    public void what_holds_the_gate_is_never_ended_however_late_it_is()
    {
        // One round, then everything that is left while the guest stands still: the limit falls into that time.
        Parameters oneRound = HalfSlow with { MaxRounds = 1, WorkingSetShare = 0.9, DirtyMinPagesPerSecond = 10_000 };
        OneOperation unlimited = new(oneRound);
        unlimited.Run(unlimited.Slow(1));
        double gateSeconds = unlimited.GateAtSeconds, endSeconds = unlimited.EndedAtSeconds;
        Assert.True(endSeconds > gateSeconds + 5);
        OneOperation race = new(oneRound with { TimeoutSeconds = gateSeconds + 1, AbortLast = true });
        race.Run(race.Slow(1));
        Assert.NotEqual(-1, race.Winner);
        Assert.Empty(race.Aborts);
        Assert.Equal(endSeconds, race.EndedAtSeconds);
        // A little earlier, before the gate, the same limit ends it.
        OneOperation before = new(oneRound with { TimeoutSeconds = gateSeconds - 2, AbortLast = true });
        before.Run(before.Slow(1));
        Assert.Equal([("timeout", 1L)], before.Aborts);
    }

    /// <summary>The largest machine of a cluster without failures is migrated once.</summary>
    private sealed class OneOperation : IOperationOwner
    {
        private readonly Cluster cluster;
        private readonly int vm;

        public OneOperation(Parameters parameters)
        {
            cluster = new Cluster(new RunOptions(64, 0, PolicyChoice.Read("sq3")!, 1, parameters), this);
            vm = Enumerable.Range(0, cluster.Fleet.Vms).MaxBy(cluster.Fleet.UnitsOf);
        }

        public int Winner { get; private set; } = -1;

        public double EndedAtSeconds { get; private set; }

        public double AbortedAtSeconds { get; private set; }

        public double GateAtSeconds { get; private set; }

        public double SentBytes { get; private set; }

        public double MemoryBytes => cluster.Fleet.MemoryBytes(vm);

        public IEnumerable<(string Code, long Count)> Aborts => cluster.Migrations.Costs?.AbortsBy.Select(pair => (pair.Key, pair.Value)) ?? [];

        public int[] Fast(int count) => Targets(count, isSlow: false);

        public int[] Slow(int count) => Targets(count, isSlow: true);

        public void Run(params int[][] targets)
        {
            int[] hosts = [.. targets.SelectMany(some => some)];
            int operation = cluster.Open(vm, 0, cluster.Fleet.ServerOf(vm), hosts, long.MaxValue, counted: true);
            cluster.Network.Settle();
            while (cluster.Race.OpenOperations > 0 && cluster.Queue.TryPop(out SimEvent next))
            {
                cluster.Handle(next);
                cluster.Network.Settle();
                AbortedAtSeconds = AbortedAtSeconds == 0 && Aborts.Any() ? SimTime.ToSeconds(next.TimeNs) : AbortedAtSeconds;
                GateAtSeconds = GateAtSeconds == 0 && cluster.Race.OperationAt(operation).Owner >= 0 ? SimTime.ToSeconds(next.TimeNs) : GateAtSeconds;
            }

            SentBytes = cluster.Migrations.EndedBytes;
        }

        public void Won(int operation, int winner) => End(operation, cluster.Race.ReplicaAt(winner).Server);

        public void Lost(int operation) => End(operation, -1);

        public void Learned(int server, bool failed) => Assert.False(failed, "Nothing fails in this cluster, and what a limit ends is no failure.");

        private void End(int operation, int target)
        {
            Winner = target;
            EndedAtSeconds = SimTime.ToSeconds(cluster.Queue.NowNs);
            cluster.Settle(operation, target);
        }

        private int[] Targets(int count, bool isSlow) =>
        [
            .. Enumerable.Range(0, 64)
                .Where(server => server != cluster.Fleet.ServerOf(vm) && cluster.Fleet.FreeUnits(server) >= cluster.Fleet.UnitsOf(vm))
                .Where(server => cluster.Network.TargetBytesPerSecond![server] < cluster.Network.StreamBytesPerSecond == isSlow)
                .Take(count),
        ];
    }
}
