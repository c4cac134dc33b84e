using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Tests.Workloads;

public sealed class HedgeOrderTests
{
    [Fact]
    public void a_hedge_starts_on_the_best_servers_first_and_in_another_rack_before_it_comes_back_to_one()
    {
        AdaptiveTargets seen = new(128, Parameters.Default);
        for (int i = 0; i < 20; i++)
        {
            seen.Learn(3, failed: false, i);
            seen.Learn(4, failed: false, i);
            seen.Learn(70, failed: true, i);
        }

        int[] hosts = [70, 40, 4, 3];
        seen.BestFirst(hosts, 20);
        Assert.Equal([4, 40, 70, 3], hosts);
        int[] unknown = [100, 99, 120, 98];
        seen.BestFirst(unknown, 20);
        Assert.Equal([100, 99, 120, 98], unknown);
    }

    [Theory]
    [InlineData(Workload.Ci)]
    [InlineData(Workload.Upgrade)]
    public void hedged_launches_and_moves_need_fewer_attempts_than_two_at_once(Workload workload)
    {
        Measured measured = new(workload, [0.2], ["naive", "sq2", "hedged2"], 2, Parameters.Default with { LaunchSeconds = 3600 });
        double hedged = measured.Mean("hedged2", 0.2, Metrics.AttemptsPerVm), both = measured.Mean("sq2", 0.2, Metrics.AttemptsPerVm);
        Assert.InRange(hedged / both, 0.45, 0.8);
    }
}
