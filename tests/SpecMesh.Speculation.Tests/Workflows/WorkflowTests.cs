using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.Workflows;

namespace SpecMesh.Speculation.Tests.Workflows;

/// <summary>What the three workloads decide (facts: simulation, section 2).</summary>
public sealed class WorkflowTests
{
    private static readonly CapacityOptions Capacity = CapacityOptions.Default;

    [Theory]
    [InlineData(0.75, false)]
    [InlineData(0.7501, true)]
    public void a_server_is_overloaded_above_three_quarters(double share, bool overloaded) => Assert.Equal(overloaded, CapacityMultiplexing.IsOverloaded(Capacity, share));

    [Fact]
    public void an_overloaded_server_sheds_the_most_demand_per_byte_until_it_is_not()
    {
        // 30 cores of demand on 32 cores: 6 must go. Per byte: machine 2 is the densest, then 0, then 3.
        MachineLoad[] machines = [new(4, 4), new(10, 100), new(3, 1), new(4, 5), new(9, 90)];
        int[] shed = new int[5];
        Assert.Equal(2, CapacityMultiplexing.Shed(Capacity, 32, machines, otherDemandCores: 0, shed));
        Assert.Equal([2, 0], shed[..2]);
        Assert.Equal(3, CapacityMultiplexing.Shed(Capacity, 32, machines, otherDemandCores: 2, shed));
        Assert.Equal(0, CapacityMultiplexing.Shed(Capacity, 64, machines, otherDemandCores: 0, shed));
    }

    [Fact]
    public void a_server_that_cannot_be_relieved_sheds_everything_once()
    {
        int[] shed = new int[2];
        Assert.Equal(1, CapacityMultiplexing.Shed(Capacity, 4, [new(1, 1), new(0, 1)], otherDemandCores: 100, shed));
    }

    [Fact]
    public void targets_are_underloaded_have_room_and_are_not_the_source()
    {
        ServerRoom[] servers = [new(0.1, 100), new(0.54, 10), new(0.55, 100), new(0.2, 9), new(0, 10)];
        int[] candidates = new int[5];
        int count = CapacityMultiplexing.Candidates(Capacity, servers, source: 0, memoryBytes: 10, candidates);
        Assert.Equal([1, 4], candidates[..count]);
    }

    [Fact]
    public void every_set_of_candidates_is_as_likely()
    {
        Prng random = new(5);
        Dictionary<string, int> fromList = [], fromNumbers = [];
        for (int i = 0; i < 60_000; i++)
        {
            int[] candidates = [0, 1, 2, 3];
            double[] uniforms = [random.NextDouble(), random.NextDouble()];
            int[] chosen = new int[2];
            Assert.Equal(2, UniformChoice.ToFront(candidates, uniforms));
            Assert.Equal(2, UniformChoice.Distinct(4, uniforms, chosen));
            Assert.Equal([0, 1, 2, 3], candidates.Order());
            Count(fromList, candidates[..2]);
            Count(fromNumbers, chosen);
        }

        Assert.All((Dictionary<string, int>[])[fromList, fromNumbers], counts =>
        {
            Assert.Equal(6, counts.Count);
            Assert.All(counts.Values, count => Assert.InRange(count, 9_500, 10_500));
        });

        static void Count(Dictionary<string, int> counts, int[] set)
        {
            string key = string.Join(' ', set.Order());
            counts[key] = counts.GetValueOrDefault(key) + 1;
        }
    }

    [Fact]
    public void fewer_candidates_than_wanted_are_all_taken()
    {
        int[] chosen = new int[5];
        Assert.Equal(2, UniformChoice.Distinct(2, [0.9, 0.9, 0.9], chosen));
        Assert.Equal([0, 1], chosen[..2].Order());
        Assert.Equal(0, UniformChoice.ToFront([], [0.5]));
    }

    [Fact]
    public void a_launch_begins_at_once_and_again_when_the_backlog_is_looked_at()
    {
        Assert.True(CiLaunch.BeginsAtOnce(LaunchState.Asked));
        Assert.False(CiLaunch.BeginsAtOnce(LaunchState.Backlog));
        Assert.Equal(60, CiLaunch.NextRescanSeconds(CiOptions.Default, 0));
        Assert.Equal(60, CiLaunch.NextRescanSeconds(CiOptions.Default, 59.9));
        Assert.Equal(120, CiLaunch.NextRescanSeconds(CiOptions.Default, 60));
        LaunchState[] launches = [LaunchState.Done, LaunchState.Backlog, LaunchState.Running, LaunchState.Asked, LaunchState.Backlog];
        int[] begin = new int[5];
        Assert.Equal([1, 3, 4], begin[..CiLaunch.ToBegin(CiOptions.Default, launches, begin)]);
        Assert.Equal([1, 3], begin[..CiLaunch.ToBegin(CiOptions.Default with { LargestBatch = 2 }, launches, begin)]);
    }

    [Fact]
    public void servers_are_upgraded_a_few_at_a_time()
    {
        UpgradeState[] servers = [UpgradeState.Upgraded, UpgradeState.Evacuating, UpgradeState.Pending, UpgradeState.Upgrading, UpgradeState.Pending, UpgradeState.Pending];
        int[] next = new int[16];
        Assert.Equal([2], next[..RollingUpgrade.Next(UpgradeOptions.Default with { ServersAtATime = 3 }, servers, next)]);
        Assert.Equal([2, 4, 5], next[..RollingUpgrade.Next(UpgradeOptions.Default, servers, next)]);
        Assert.Equal(0, RollingUpgrade.Next(UpgradeOptions.Default with { ServersAtATime = 1 }, servers, next));
    }

    [Fact]
    public void machines_go_to_upgraded_servers_first_then_to_pending_ones_and_never_to_one_that_is_emptied()
    {
        UpgradeState[] servers = [UpgradeState.Pending, UpgradeState.Upgraded, UpgradeState.Evacuating, UpgradeState.Upgrading, UpgradeState.Upgraded, UpgradeState.Pending];
        int[] candidates = new int[6];
        (int upgraded, int all) = RollingUpgrade.Candidates(servers, [9, 9, 99, 99, 1, 9], memoryBytes: 5, candidates);
        Assert.Equal((1, 3), (upgraded, all));
        Assert.Equal([1, 0, 5], candidates[..all]);
    }

    [Fact]
    public void the_machine_that_has_waited_longest_moves_next()
    {
        double[] retryAt = [double.PositiveInfinity, 40, 0, 300, 10];
        int[] next = new int[4];
        Assert.Equal([2, 4], next[..RollingUpgrade.NextMachines(retryAt, nowSeconds: 100, places: 2, next)]);
        Assert.Equal([2, 4, 1], next[..RollingUpgrade.NextMachines(retryAt, nowSeconds: 100, places: 4, next)]);
        Assert.Equal(0, RollingUpgrade.NextMachines(retryAt, nowSeconds: 100, places: 0, next));
    }
}
