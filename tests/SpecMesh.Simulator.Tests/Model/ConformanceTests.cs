using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Tests.Model;

/// <summary>
/// The simulator does not run the services' decider for each event, because its records would cost a hundred times as much; it runs the same policies in a form without allocation. Here both
/// are given the same replicas: they must start the same ones at the same times, on the same hosts, and end with the same winner.
/// </summary>
public sealed class ConformanceTests
{
    [Theory]
    [InlineData("speculative", null)]
    [InlineData("speculative", 20.0)]
    [InlineData("retry-same-server", null)]
    public void the_simulated_manager_does_what_the_services_decider_does(string manager, double? hedgeSeconds)
    {
        RandomStream random = new(2026, 99);
        int won = 0, failed = 0, started = 0;
        for (uint seed = 0; seed < 500; seed++)
        {
            int sq = manager == "retry-same-server" ? 1 : random.Below(5, seed, 0) + (hedgeSeconds is null ? 1 : 2);
            // Times to the millisecond, each different from all others, so that no order is left to chance; more fail than are ready.
            List<(double, bool)> ends = [.. Enumerable.Range(0, 8).Select(i => (1 + random.Below(60, seed, 1, (uint)i) + (0.001 * (i + 1)), random.Uniform(seed, 2, (uint)i) < 0.3))];
            ReplicaScript script = new(manager, sq, hedgeSeconds, ends);
            List<string> decided = DecidedOperation.Play(script), simulated = SimulatedOperation.Play(script);
            Assert.Equal(decided, simulated);
            won += decided[^1].Contains("won", StringComparison.Ordinal) ? 1 : 0;
            failed += decided[^1].Contains("failed", StringComparison.Ordinal) ? 1 : 0;
            started += decided.Count - 1;
        }

        Assert.Equal(500, won + failed);
        Assert.True(won > 50 && failed > 50 && started > 600, "The scripts show too little.");
    }
}
