using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Tests.Workloads;

/// <summary>Rolling upgrade against the table of the facts, and the adaptive policy against every fixed one.</summary>
public sealed class UpgradeTests
{
    private static readonly string[] Fixed = ["sq1", "sq2", "sq3", "sq4", "sq5"];
    private static readonly Measured Table = new(Workload.Upgrade, [0, 0.1, 0.3], ["naive", .. Fixed, "adaptive"], seeds: 3);

    [Theory]
    [InlineData(0, 17.69, 1.02)]
    [InlineData(0.1, 22.63, 1.54)]
    [InlineData(0.3, 31.11, 2.87)]
    public void the_naive_manager_takes_as_long_as_the_facts_say(double failed, double hours, double attempts)
    {
        Assert.Equal(hours, Table.Mean("naive", failed, Metrics.UpgradeHours), 0.02 * hours);
        Assert.Equal(attempts, Table.Mean("naive", failed, Metrics.AttemptsPerVm), 0.03 * attempts);
    }

    [Theory]
    [InlineData("sq2", 0, -6.3, 1.00)]
    [InlineData("sq3", 0, -13.4, 2.00)]
    [InlineData("sq4", 0, -20.6, 3.00)]
    [InlineData("sq5", 0, -28.3, 4.01)]
    [InlineData("sq2", 0.1, 14.8, 0.34)]
    [InlineData("sq3", 0.1, 12.8, 0.99)]
    [InlineData("sq4", 0.1, 8.1, 1.65)]
    [InlineData("sq5", 0.1, 2.9, 2.32)]
    [InlineData("sq2", 0.3, 25.5, -0.22)]
    [InlineData("sq3", 0.3, 33.2, 0.10)]
    [InlineData("sq4", 0.3, 34.6, 0.43)]
    [InlineData("sq5", 0.3, 33.2, 0.78)]
    public void replicas_save_and_cost_what_the_facts_say(string policy, double failed, double gainPercent, double additionalAttempts)
    {
        Assert.Equal(gainPercent / 100, Table.Mean(policy, failed, Metrics.UpgradeTimeGain), 0.02);
        Assert.Equal(additionalAttempts, Table.Mean(policy, failed, Metrics.AdditionalAttempts), 0.06);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.1)]
    [InlineData(0.3)]
    public void the_adaptive_policy_is_within_two_points_of_the_best_number_of_replicas(double failed)
    {
        double best = Fixed.Max(policy => Table.Mean(policy, failed, Metrics.UpgradeTimeGain));
        Assert.True(Table.Mean("adaptive", failed, Metrics.UpgradeTimeGain) >= best - 0.02);
    }

    [Fact]
    public void the_best_number_of_replicas_rises_with_the_share_of_failed_servers()
    {
        string Best(double failed) => Fixed.MaxBy(policy => Table.Mean(policy, failed, Metrics.UpgradeTimeGain))!;
        Assert.Equal(["sq1", "sq2", "sq4"], ((double[])[0, 0.1, 0.3]).Select(Best));
    }
}
