using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Model;
using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Tests.Model;

/// <summary>Migrations against an oracle that is written here a second time, in the plainest way, and against SimGrid's numbers.</summary>
public sealed class PreCopyTests
{
    private const double Rate = 0.3e9;

    [Theory]
    [InlineData(100, 2, 2, 1.0014)]
    [InlineData(1_000, 3, 3, 1.0129)]
    [InlineData(10_000, 5, 6, 1.0857)]
    public void rounds_and_bytes_are_those_of_the_facts(double pagesPerSecond, int fewest, int most, double bytesPerMemory)
    {
        foreach (double memory in (double[])[1.75e9, 3.5e9, 7e9, 14e9, 28e9])
        {
            (double bytes, _, int rounds) = PreCopy.Uncontended(new PreCopyLimits(50, 30, 3), memory, 0.1 * memory, 4096 * pagesPerSecond, Rate);
            Assert.InRange(rounds, fewest, most);
            Assert.Equal(bytesPerMemory, bytes / memory, 1.5e-3);
        }
    }

    [Theory]
    [InlineData(100, 11.68)]
    [InlineData(1_000, 11.82)]
    [InlineData(10_000, 12.67)]
    public void the_time_for_a_machine_of_the_second_size_is_that_of_the_facts(double pagesPerSecond, double seconds) =>
        Assert.Equal(seconds, PreCopy.Uncontended(new PreCopyLimits(50, 30, 3), 3.5e9, 0.35e9, 4096 * pagesPerSecond, Rate).Seconds, 0.005);

    [Theory]
    [InlineData(0.05, 12.280, 2)]
    [InlineData(0.2, 13.123, 4)]
    [InlineData(0.5, 13.983, 7)]
    public void SimGrid_agrees_when_memory_is_dirtied_and_pre_copy_stops_as_it_assumes(double dirtyPerLink, double seconds, int rounds)
    {
        PreCopyLimits limits = new(0, 30, 1_000, StopSeconds: 0.03, Dirtying.Linear);
        (_, double taken, int sent) = PreCopy.Uncontended(limits, 3.5e9, 0.35e9, dirtyPerLink * Rate, Rate);
        Assert.Equal(seconds, taken, 1e-3 * seconds);
        Assert.Equal(rounds, sent);
    }

    [Fact]
    public void a_migration_on_an_idle_network_sends_what_the_oracle_says_for_every_machine()
    {
        RunOptions options = new(64, 0, PolicyChoice.Naive, 11, Parameters.Default);
        for (int vm = 0; vm < 200; vm += 3)
        {
            Outcome outcome = new();
            Cluster cluster = new(options, outcome);
            outcome.Cluster = cluster;
            int source = cluster.Fleet.ServerOf(vm);
            cluster.Open(vm, 0, source, [source == 63 ? 0 : 63], long.MaxValue, counted: true);
            cluster.Network.Settle();
            while (outcome.SentBytes == 0 && cluster.Queue.TryPop(out SimEvent next))
            {
                cluster.Handle(next);
                cluster.Network.Settle();
            }

            (double bytes, double seconds) = Oracle(cluster.Fleet.MemoryBytes(vm), cluster.Fleet.DirtyBytesPerSecond(vm));
            Assert.Equal(1, outcome.SentBytes / bytes, 1e-6);
            Assert.Equal(1, SimTime.ToSeconds(cluster.Queue.NowNs) / seconds, 1e-6);
            Assert.Equal(1, cluster.Migrations.UncontendedBytes(vm) / bytes, 1e-6);
        }
    }

    /// <summary>V₀ = M; Vᵢ₊₁ = W(1 − e^(−d·tᵢ/W)); stop at 50 pages, 30 rounds, or three times the memory.</summary>
    private static (double Bytes, double Seconds) Oracle(double memory, double dirtyRate)
    {
        double working = memory / 10, sent = 0, seconds = 0, next = memory;
        for (int round = 0; round < 30 && (round == 0 || (next > 50 * 4096 && sent + next < 3 * memory)); round++)
        {
            double time = next / Rate;
            sent += next;
            seconds += time;
            next = working - (working * Math.Exp(-dirtyRate * time / working));
        }

        return (sent + next, seconds + (next / Rate));
    }

    private sealed class Outcome : IOperationOwner
    {
        public Cluster Cluster { get; set; } = null!;

        public double SentBytes { get; private set; }

        public void Won(int operation, int winner) => SentBytes = Cluster.Migrations.SentBytes(winner);

        public void Lost(int operation) => Assert.Fail("Nothing fails here.");

        public void Learned(int server, bool failed) => Assert.False(failed);
    }
}
