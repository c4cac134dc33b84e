using SpecMesh.Simulator.Experiments;

namespace SpecMesh.Simulator.Tests.Experiments;

public sealed class StatisticsTests
{
    [Theory]
    [InlineData(1, 12.706)]
    [InlineData(4, 2.776)]
    [InlineData(19, 2.093)]
    [InlineData(40, 2.021)]
    [InlineData(120, 1.980)]
    public void students_quantiles_are_those_of_the_tables(int degrees, double quantile) => Assert.Equal(quantile, Statistics.StudentT(degrees), 0.001);

    [Fact]
    public void an_interval_is_t_times_the_standard_error()
    {
        Estimate estimate = Statistics.Of([1, 2, 3, 4, 5]);
        Assert.Equal(3, estimate.Mean);
        Assert.Equal(2.776 * Math.Sqrt(2.5 / 5), estimate.Ci95, 1e-3);
        Assert.Equal(new Estimate(7, 0, 1), Statistics.Of([7]));
    }
}
