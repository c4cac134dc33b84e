using SpecMesh.Speculation.Health;

namespace SpecMesh.Speculation.Tests.Health;

/// <summary>DESIGN section 10: "keeps exactly round(p·N) hosts failed with uniformly random durations"; from its equilibrium on.</summary>
public sealed class ParametricFaultsTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(0.0001, 0)]
    [InlineData(0.03, 31)]
    [InlineData(0.3, 307)]
    [InlineData(0.9, 922)]
    public void exactly_as_many_have_failed_at_every_instant(double share, int failed)
    {
        FaultModel model = new(share);
        ParametricFaults faults = new(model, 1024);
        Prng random = new(7);
        List<int> begun = [.. Enumerable.Range(0, model.FailedOf(1024)).Select(_ => faults.Begin(random.NextDouble(), random.NextDouble(), random.NextDouble()).Server)];
        Assert.Equal(failed, begun.Distinct().Count());
        for (int i = 0; i < 2000 && failed > 0; i++)
        {
            int ended = faults.Failed[random.NextInt(failed)];
            InjectedFault next = faults.Replace(ended, random.NextDouble(), random.NextDouble());
            Assert.NotEqual(ended, next.Server);
            Assert.False(faults.IsFailed(ended));
            Assert.InRange(next.Seconds, 60, 1800);
            Assert.Equal(failed, Enumerable.Range(0, 1024).Count(faults.IsFailed));
            Assert.Equal(failed, faults.FailedCount);
        }
    }

    [Fact]
    public void the_beginning_is_in_equilibrium()
    {
        FaultModel model = new(0.5);
        Prng random = new(8);
        double[] residuals = [.. Enumerable.Range(0, 200_000).Select(_ => model.EquilibriumResidual(random.NextDouble(), random.NextDouble()))];
        Assert.Equal(1, residuals.Average() / model.MeanResidualSeconds, 0.02);
        // Survival S(t): 1 − t/E[D] up to the shortest duration, (b−t)²/((b−a)(a+b)) above.
        Assert.Equal(1 - (60 / 930.0), Survivors(60), 0.01);
        Assert.Equal(900.0 * 900 / (1740 * 1860), Survivors(900), 0.01);
        double Survivors(double t) => residuals.Count(residual => residual > t) / (double)residuals.Length;
    }

    [Fact]
    public void every_healthy_server_is_as_likely_to_fail_next()
    {
        ParametricFaults faults = new(new FaultModel(0.2), 10);
        Prng random = new(9);
        faults.Begin(0, 0, 0);
        faults.Begin(0, 0, 0);
        int[] times = new int[10];
        for (int i = 0; i < 100_000; i++)
        {
            times[faults.Replace(faults.Failed[random.NextInt(2)], random.NextDouble(), random.NextDouble()).Server]++;
        }

        Assert.All(times, count => Assert.InRange(count, 9_500, 10_500));
    }

    [Fact]
    public void the_same_chance_gives_the_same_faults()
    {
        static List<InjectedFault> Run()
        {
            ParametricFaults faults = new(new FaultModel(0.3), 64);
            Prng random = new(1);
            List<InjectedFault> all = [.. Enumerable.Range(0, 19).Select(_ => faults.Begin(random.NextDouble(), random.NextDouble(), random.NextDouble()))];
            all.AddRange(Enumerable.Range(0, 500).Select(_ => faults.Replace(faults.Failed[random.NextInt(19)], random.NextDouble(), random.NextDouble())));
            return all;
        }

        Assert.Equal(Run(), Run());
    }

    [Theory]
    [InlineData(-0.1, 60, 1800)]
    [InlineData(1, 60, 1800)]
    [InlineData(0.99, 60, 1800)]
    [InlineData(double.NaN, 60, 1800)]
    [InlineData(0.5, 0, 1800)]
    [InlineData(0.5, 60, 59)]
    public void a_model_that_makes_no_sense_is_refused(double share, double min, double max) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new ParametricFaults(new FaultModel(share, min, max), 10));

    [Fact]
    public void only_a_failure_can_end() => Assert.Throws<ArgumentException>(() => new ParametricFaults(new FaultModel(0), 10).Replace(3, 0, 0));

    [Fact]
    public void the_hazard_keeps_the_number_in_balance() => Assert.Equal(307 / (930 * 717.0), new FaultModel(0.3).HazardPerSecond(1024), 12);
}
