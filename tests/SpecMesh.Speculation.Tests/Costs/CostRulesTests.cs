using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Speculation.Tests.Costs;

/// <summary>Which limits make sense, and what holds where a workload names none.</summary>
public sealed class CostRulesTests
{
    [Theory]
    [InlineData(OperationKind.Migrate, 0, 60)]
    [InlineData(OperationKind.Migrate, 15, 60)]
    [InlineData(OperationKind.Migrate, 16, 63)]
    [InlineData(OperationKind.Migrate, 1024, 3087)]
    [InlineData(OperationKind.PowerOn, 60, 60)]
    [InlineData(OperationKind.PowerOn, 64, 63)]
    public void the_default_timeout_is_three_times_setup_and_copy_and_at_least_a_minute(OperationKind kind, int units, double seconds)
    {
        Assert.Equal(seconds, CostRules.DefaultTimeout(kind, units * 64L * 1024 * 1024).TotalSeconds, 6);
    }

    [Fact]
    public void the_default_timeout_of_the_largest_machine_is_one_that_may_be_asked_for()
    {
        double seconds = CostRules.DefaultTimeout(OperationKind.Migrate, SpecOpRules.MaxMemoryBytes).TotalSeconds;
        Assert.Null(CostRules.FirstError(new CostLimits(seconds)));
    }

    [Fact]
    public void a_workload_that_names_no_timeout_gets_one_and_keeps_its_other_limits()
    {
        CostLimits limits = CostRules.WithDefaults(new CostLimits(MaxBytes: 7), OperationKind.Migrate, 1 << 20);
        Assert.Equal(new CostLimits(60, MaxBytes: 7), limits);
    }

    public static TheoryData<string, CostLimits> Nonsense => new()
    {
        { "cost.timeoutSeconds", new CostLimits(0) },
        { "cost.maxBytes", new CostLimits(MaxBytes: 0) },
        { "cost.maxBytes", new CostLimits(MaxBytes: -1) },
        { "cost.maxCpuSeconds", new CostLimits(MaxCpuSeconds: double.NaN) },
        { "cost.maxMemoryGibSeconds", new CostLimits(MaxMemoryGibSeconds: double.PositiveInfinity) },
        { "cost.maxOperationBytes", new CostLimits(MaxOperationBytes: 0) },
        { "cost.maxOperationCpuSeconds", new CostLimits(MaxOperationCpuSeconds: -3) },
        { "cost.maxOperationMemoryGibSeconds", new CostLimits(MaxOperationMemoryGibSeconds: 0) },
        { "cost.minProgress", new CostLimits(MinProgress: 0) },
        { "cost.minProgress", new CostLimits(MinProgress: 1) },
        { "cost.minProgress", new CostLimits(MinProgress: double.NaN) },
    };

    [Theory]
    [MemberData(nameof(Nonsense))]
    public void a_limit_that_makes_no_sense_is_named(string field, CostLimits limits) => Assert.Equal(field, CostRules.FirstError(limits)?.Field);

    [Fact]
    public void limits_that_make_sense_are_not_objected_to() =>
        Assert.Null(CostRules.FirstError(new CostLimits(60, 1, 0.1, 0.1, 1, 0.1, 0.1, 0.05, true)));

    [Theory]
    [InlineData(null, 60, "timeout")]
    [InlineData(1000.0, 60, "timeout")]
    [InlineData(8.0, 4, "memory-seconds")]
    public void a_replica_that_only_builds_is_limited_by_time_or_by_memory_over_time(double? gibSeconds, double seconds, string code)
    {
        Assert.Equal((seconds, code), CostRules.BuildLimit(new CostLimits(60, MaxMemoryGibSeconds: gibSeconds), 2L << 30));
    }
}
