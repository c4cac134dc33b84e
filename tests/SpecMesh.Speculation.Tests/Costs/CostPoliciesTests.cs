using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Speculation.Tests.Costs;

/// <summary>DESIGN section 9: "Cost: [...] any one aborts a replica"; each abort carries what was observed and its limit.</summary>
public sealed class CostPoliciesTests
{
    [Theory]
    [InlineData(9_999, false)]
    [InlineData(10_000, false)]
    [InlineData(10_000.5, true)]
    [InlineData(1e12, true)]
    public void the_timeout_acts_above_its_limit(double elapsedMs, bool aborts)
    {
        CostVerdict verdict = CostPolicies.Judge(new CostLimits(10), ReplicaCounters.None with { ElapsedMs = elapsedMs });
        Assert.Equal(aborts, verdict.Abort);
        Assert.Equal(aborts ? 10 : null, verdict.Reason?.Limit);
        Assert.Equal(aborts ? "timeout" : null, verdict.Reason?.Code);
    }

    [Fact]
    public void an_absent_limit_does_not_act()
    {
        Assert.False(CostPolicies.Judge(new CostLimits(), ReplicaCounters.None with { ElapsedMs = double.MaxValue }).Abort);
    }

    [Theory]
    [InlineData(OperationKind.Migrate, 0, 60)]
    [InlineData(OperationKind.Migrate, 15, 60)]
    [InlineData(OperationKind.Migrate, 16, 63)]
    [InlineData(OperationKind.Migrate, 1024, 3087)]
    [InlineData(OperationKind.PowerOn, 60, 60)]
    [InlineData(OperationKind.PowerOn, 64, 63)]
    public void the_default_timeout_is_three_times_setup_and_copy_and_at_least_a_minute(OperationKind kind, int units, double seconds)
    {
        Assert.Equal(seconds, CostPolicies.DefaultTimeout(kind, units * 64L * 1024 * 1024).TotalSeconds, 6);
    }

    [Fact]
    public void the_default_timeout_of_the_largest_machine_is_one_that_may_be_asked_for()
    {
        double seconds = CostPolicies.DefaultTimeout(OperationKind.Migrate, SpecOpRules.MaxMemoryBytes).TotalSeconds;
        Assert.Null(CostPolicies.FirstError(new CostLimits(seconds)));
    }
}
