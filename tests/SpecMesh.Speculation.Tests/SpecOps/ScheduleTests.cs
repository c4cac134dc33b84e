using Xunit.Abstractions;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>DESIGN section 7: "Invariants, each with a test and in the model." Thousands of schedules of one operation, each from its seed.</summary>
public sealed class ScheduleTests(ITestOutputHelper output)
{
    /// <summary>More can be run with <c>SPECMESH_SCHEDULES</c>.</summary>
    private static readonly ulong Schedules = ulong.TryParse(Environment.GetEnvironmentVariable("SPECMESH_SCHEDULES"), out ulong asked) ? asked : 4000;

    [Fact]
    public void every_schedule_has_at_most_one_runner_and_ends_with_nothing_left_behind()
    {
        Dictionary<string, int> outcomes = [];
        for (ulong seed = 1; seed <= Schedules; seed++)
        {
            SimulatedMesh mesh = new(seed);
            try
            {
                mesh.Run();
            }
            catch (Exception e) when (e is InvariantException or InvalidOperationException or KeyNotFoundException or NullReferenceException)
            {
                Assert.Fail($"Seed {seed}: {e.Message}\n{TraceOf(seed)}");
            }

            string outcome = $"{mesh.Kind} {mesh.Operation.Completed?.Outcome}";
            outcomes[outcome] = outcomes.GetValueOrDefault(outcome) + 1;
        }

        output.WriteLine(string.Join(", ", outcomes.Select(o => $"{o.Key}: {o.Value}")));

        // A schedule that never lets anybody win, or never refuses anybody, would check nothing.
        Assert.All(["Migrate Succeeded", "Migrate Failed", "Migrate Cancelled", "PowerOn Succeeded", "PowerOn Cancelled"], expected => Assert.True(outcomes.GetValueOrDefault(expected) > 20, expected));
    }

    [Theory]
    [InlineData(Mutation.SourceResumesOnTimeout)]
    [InlineData(Mutation.TargetRunsOnVote)]
    [InlineData(Mutation.AppendWithoutExpectedVersion)]
    [InlineData(Mutation.SourceDestroysEarly)]
    [InlineData(Mutation.SourceVotesTwice)]
    [InlineData(Mutation.SourceBelievesAnyRefusalAnswer)]
    public void a_protocol_without_one_of_its_rules_is_caught(Mutation mutation)
    {
        for (ulong seed = 1; seed <= 40_000; seed++)
        {
            try
            {
                new SimulatedMesh(seed, mutation).Run();
            }
            catch (InvariantException caught)
            {
                output.WriteLine($"{mutation}: seed {seed}: {caught.Message}");
                return;
            }
        }

        Assert.Fail($"{mutation} was not noticed.");
    }

    private static string TraceOf(ulong seed)
    {
        SimulatedMesh again = new(seed, traced: true);
        Record.Exception(again.Run);
        return again.Trace;
    }
}
