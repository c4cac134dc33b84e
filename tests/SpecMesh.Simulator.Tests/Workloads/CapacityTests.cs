using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Tests.Workloads;

/// <summary>Capacity multiplexing against the closed forms, and against the table of the facts.</summary>
public sealed class CapacityTests
{
    private static readonly Measured Table = new(Workload.Capacity, [0, 0.1, 0.3], ["naive", "sq1", "sq2", "sq3", "sq5"], seeds: 5);
    private static readonly Measured StartOnly = new(
        Workload.Capacity, [0.1, 0.3, 0.5], ["sq1", "sq2", "sq3", "sq4", "sq5"], seeds: 6, Parameters.Default with { Validation = true, MidOperationFailures = false });

    [Theory]
    [InlineData("naive", 0.1, 0.911, 0.013, 0.012)]
    [InlineData("sq1", 0.1, 0.891, 0.008, 0.005)]
    [InlineData("sq2", 0.1, 0.984, 0.006, 0.73)]
    [InlineData("sq3", 0.1, 0.994, 0.003, 1.46)]
    [InlineData("sq5", 0.1, 0.994, 0.004, 2.81)]
    [InlineData("naive", 0.3, 0.744, 0.014, 0.034)]
    [InlineData("sq1", 0.3, 0.678, 0.014, 0.014)]
    [InlineData("sq2", 0.3, 0.882, 0.009, 0.47)]
    [InlineData("sq3", 0.3, 0.952, 0.006, 0.99)]
    [InlineData("sq5", 0.3, 0.974, 0.008, 1.99)]
    public void success_and_bytes_are_those_of_the_facts(string policy, double failed, double success, double halfWidth, double excess)
    {
        Assert.Equal(success, Table.Mean(policy, failed, Metrics.SuccessFraction), 3 * halfWidth);
        Assert.Equal(excess, Table.Mean(policy, failed, Metrics.ExcessNetwork), 0.02 + (0.04 * excess));
    }

    [Theory]
    [InlineData("sq2", 0.90)]
    [InlineData("sq3", 1.72)]
    [InlineData("sq5", 3.23)]
    public void without_failures_everything_succeeds_and_the_other_replicas_are_the_cost(string policy, double excess)
    {
        Assert.Equal(1, Table.Mean(policy, 0, Metrics.SuccessFraction));
        Assert.Equal(excess, Table.Mean(policy, 0, Metrics.ExcessNetwork), 0.04 * excess);
    }

    [Fact]
    public void retries_on_the_same_server_fill_the_network_with_replicas()
    {
        Assert.Equal(1.43, Table.Mean("naive", 0.1, Metrics.ReplicasPerOperation), 0.06);
        Assert.Equal(2.23, Table.Mean("naive", 0.3, Metrics.ReplicasPerOperation), 0.08);
    }

    [Fact]
    public void large_machines_find_few_servers_with_room() => Assert.InRange(Table.Mean("sq5", 0, Metrics.TargetsPerOperation), 4.6, 4.8);

    [Fact]
    public void success_rises_with_replicas_and_falls_with_failures()
    {
        foreach (double failed in (double[])[0.1, 0.3])
        {
            double[] success = [.. ((string[])["sq1", "sq2", "sq3", "sq5"]).Select(policy => Table.Mean(policy, failed, Metrics.SuccessFraction))];
            Assert.Equal(success.Order(), success);
        }

        Assert.All((string[])["naive", "sq1", "sq2", "sq3", "sq5"], policy => Assert.True(Table.Mean(policy, 0.1, Metrics.SuccessFraction) > Table.Mean(policy, 0.3, Metrics.SuccessFraction)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void with_room_everywhere_and_failures_only_at_the_start_the_closed_forms_hold(int k)
    {
        foreach (double failed in (double[])[0.1, 0.3, 0.5])
        {
            double success = ClosedForms.StartSuccess(failed, k), excess = (k * (1 - failed) / (1 - Math.Pow(failed, k))) - 1;
            Assert.Equal(success, StartOnly.Mean($"sq{k}", failed, Metrics.SuccessFraction), 0.015);
            Assert.Equal(excess, StartOnly.Mean($"sq{k}", failed, Metrics.ExcessNetwork), (0.03 * (k - 1)) + 0.01);
        }
    }
}
