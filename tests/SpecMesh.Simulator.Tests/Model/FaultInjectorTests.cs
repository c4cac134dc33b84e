using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Model;
using SpecMesh.Speculation.Health;

namespace SpecMesh.Simulator.Tests.Model;

public sealed class FaultInjectorTests
{
    [Theory]
    [InlineData(0.05, 51)]
    [InlineData(0.3, 307)]
    [InlineData(0.5, 512)]
    public void exactly_so_many_servers_are_failed_after_every_event(double share, int expected)
    {
        EventQueue queue = new();
        FaultInjector faults = new(queue, new FaultModel(share), 1024, seed: 9);
        for (int i = 0; i < 5_000; i++)
        {
            Assert.True(queue.TryPop(out SimEvent end));
            int ended = (int)end.Entity;
            Assert.True(faults.IsFailed(ended));
            int failed = faults.Replace(ended);
            Assert.NotEqual(ended, failed);
            Assert.True(faults.IsFailed(failed));
            Assert.False(faults.IsFailed(ended));
            Assert.Equal(expected, Enumerable.Range(0, 1024).Count(faults.IsFailed));
            Assert.Equal(expected, queue.Count);
        }
    }

    [Fact]
    public void an_observer_at_any_time_sees_the_residual_of_the_equilibrium()
    {
        // (a² + ab + b²) / (3 (a + b)) at the start already, and still after several mean durations.
        FaultModel model = new(0.3);
        double atStart = 0, later = 0;
        const int Seeds = 100;
        for (ulong seed = 0; seed < Seeds; seed++)
        {
            EventQueue queue = new();
            FaultInjector faults = new(queue, model, 1024, seed);
            Dictionary<int, long> endNs = [];
            List<SimEvent> ends = [];
            while (queue.TryPop(out SimEvent end))
            {
                ends.Add(end);
            }

            atStart += ends.Average(end => SimTime.ToSeconds(end.TimeNs)) / Seeds;
            later += ResidualAt(SimTime.FromSeconds(4_000), model, seed) / Seeds;
        }

        Assert.Equal(model.MeanResidualSeconds, atStart, 0.02 * model.MeanResidualSeconds);
        Assert.Equal(model.MeanResidualSeconds, later, 0.02 * model.MeanResidualSeconds);
    }

    [Fact]
    public void every_server_is_failed_as_often_as_its_share()
    {
        int[] seen = new int[256];
        int looks = 0;
        for (ulong seed = 0; seed < 400; seed++)
        {
            EventQueue queue = new();
            FaultInjector faults = new(queue, new FaultModel(0.25), seen.Length, seed);
            RunTo(queue, faults, SimTime.FromSeconds(2_000));
            looks++;
            for (int server = 0; server < seen.Length; server++)
            {
                seen[server] += faults.IsFailed(server) ? 1 : 0;
            }
        }

        // Chi-square with 255 degrees of freedom: above 350 only once in ten thousand times.
        double expected = looks * 0.25;
        Assert.InRange(seen.Sum(count => (count - expected) * (count - expected) / (expected * 0.75)), 150, 350);
    }

    private static double ResidualAt(long timeNs, FaultModel model, ulong seed)
    {
        EventQueue queue = new();
        FaultInjector faults = new(queue, model, 1024, seed);
        RunTo(queue, faults, timeNs);
        List<double> left = [];
        while (queue.TryPop(out SimEvent end))
        {
            left.Add(SimTime.ToSeconds(end.TimeNs - timeNs));
        }

        return left.Average();
    }

    private static void RunTo(EventQueue queue, FaultInjector faults, long timeNs)
    {
        while (queue.TryPopBefore(timeNs, out SimEvent end))
        {
            faults.Replace((int)end.Entity);
        }
    }
}
