using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Tests.Workloads;

/// <summary>Launches against the closed forms, and against the table of the facts.</summary>
public sealed class CiTests
{
    private static readonly Parameters ConstantBoots = Parameters.Default with { BootSigma = 0, ScanSeconds = 300 };
    private static readonly Measured Table = new(Workload.Ci, [0, 0.1, 0.3], ["naive", "sq2", "sq3", "sq5"], seeds: 5);
    private static readonly Measured Constant = new(Workload.Ci, [0, 0.05, 0.3, 0.5], ["naive", "sq2"], seeds: 5, ConstantBoots);

    [Theory]
    [InlineData(0, 97.45, 1)]
    [InlineData(0.1, 105.24, 1.1244)]
    [InlineData(0.3, 128.33, 1.4948)]
    public void the_naive_manager_is_as_slow_as_the_facts_say(double failed, double delaySeconds, double attempts)
    {
        Assert.Equal(delaySeconds, Table.Mean("naive", failed, Metrics.LaunchDelaySeconds), 0.01 * delaySeconds);
        Assert.Equal(attempts, Table.Mean("naive", failed, Metrics.AttemptsPerVm), 0.005 * attempts);
    }

    [Theory]
    [InlineData("sq2", 0, 22.29, 2.000)]
    [InlineData("sq3", 0, 31.23, 3.000)]
    [InlineData("sq5", 0, 39.92, 5.000)]
    [InlineData("sq2", 0.1, 23.23, 1.800)]
    [InlineData("sq3", 0.1, 33.22, 2.672)]
    [InlineData("sq5", 0.1, 42.45, 4.447)]
    [InlineData("sq2", 0.3, 26.06, 1.501)]
    [InlineData("sq3", 0.3, 37.38, 2.081)]
    [InlineData("sq5", 0.3, 47.98, 3.358)]
    public void replicas_save_and_cost_what_the_facts_say(string policy, double failed, double gainPercent, double relativeAttempts)
    {
        Assert.Equal(gainPercent / 100, Table.Mean(policy, failed, Metrics.LaunchDelayGain), 0.005);
        Assert.Equal(relativeAttempts, Table.Mean(policy, failed, Metrics.RelativeAttempts), 0.007 * relativeAttempts);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.1)]
    [InlineData(0.3)]
    public void delays_and_attempts_are_those_of_the_closed_form(double failed)
    {
        foreach ((string policy, int k) in ((string, int)[])[("naive", 1), ("sq2", 2), ("sq3", 3), ("sq5", 5)])
        {
            double attempts = ClosedForms.Attempts(failed, k, Parameters.Default), delay = ClosedForms.Delay(failed, k, Parameters.Default);
            Assert.Equal(attempts, Table.Mean(policy, failed, Metrics.AttemptsPerVm), 0.005 * attempts);
            Assert.Equal(delay, Table.Mean(policy, failed, Metrics.LaunchDelaySeconds), 0.01 * delay);
        }
    }

    [Fact]
    public void when_every_boot_takes_as_long_only_failures_make_replicas_worth_their_cost()
    {
        Assert.Equal(0, Constant.Mean("sq2", 0, Metrics.LaunchDelayGain), 1e-9);
        foreach (double failed in (double[])[0.05, 0.3, 0.5])
        {
            double naive = ClosedForms.Delay(failed, 1, ConstantBoots), two = ClosedForms.Delay(failed, 2, ConstantBoots);
            Assert.Equal((naive - two) / naive, Constant.Mean("sq2", failed, Metrics.LaunchDelayGain), 0.01);
        }

        Assert.Equal(0.895, Constant.Mean("sq2", 0.05, Metrics.AdditionalAttempts), 0.02);
        Assert.Equal(0.502, Constant.Mean("sq2", 0.3, Metrics.AdditionalAttempts), 0.02);
        Assert.Equal(0.286, Constant.Mean("sq2", 0.5, Metrics.AdditionalAttempts), 0.02);
    }

    [Fact]
    public void replication_costs_less_and_saves_more_the_more_servers_fail()
    {
        foreach (string policy in (string[])["sq2", "sq3", "sq5"])
        {
            Assert.True(Table.Mean(policy, 0, Metrics.RelativeAttempts) > Table.Mean(policy, 0.1, Metrics.RelativeAttempts));
            Assert.True(Table.Mean(policy, 0.1, Metrics.RelativeAttempts) > Table.Mean(policy, 0.3, Metrics.RelativeAttempts));
            Assert.True(Table.Mean(policy, 0, Metrics.LaunchDelayGain) < Table.Mean(policy, 0.1, Metrics.LaunchDelayGain));
            Assert.True(Table.Mean(policy, 0.1, Metrics.LaunchDelayGain) < Table.Mean(policy, 0.3, Metrics.LaunchDelayGain));
        }
    }
}
