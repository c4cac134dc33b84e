using System.Text.Json;
using SpecMesh.Cli.Demo;
using SpecMesh.Contracts;

namespace SpecMesh.Integration.Tests;

/// <summary>The main job, as a user runs it: exactly one guest runs at the end, its memory is right, and nothing is left behind.</summary>
[Collection(RunningSystemCollection.Name)]
public sealed class DemoTests
{
    [Theory]
    [InlineData("3", "64MiB", "1")]
    [InlineData("3", "64MiB", "2")]
    [InlineData("1", "16MiB", "3")]
    [InlineData("2", "32MiB", "4")]
    [InlineData("5", "32MiB", "5")]
    public async Task one_replica_wins_in_one_process(string sq, string memory, string seed)
    {
        Ended demo = await Programs.SpecMeshAsync("demo", "--json", "--sq", sq, "--memory", memory, "--seed", seed);
        AssertGood(demo, int.Parse(sq, System.Globalization.CultureInfo.InvariantCulture));
    }

    [ServersFact]
    public async Task one_replica_wins_on_rabbitmq_and_postgresql()
    {
        Ended demo = await Programs.SpecMeshAsync("demo", "--json", "--real", "--state", Path.Combine(Path.GetTempPath(), "specmesh-no-system"), "--memory", "64MiB", "--seed", "6");
        AssertGood(demo, 3);
    }

    [Fact]
    public async Task no_replica_wins_when_every_target_breaks_and_the_guest_goes_on_at_its_source()
    {
        Ended demo = await Programs.SpecMeshAsync("demo", "--json", "--sq", "2", "--failed-targets", "2", "--memory", "32MiB", "--seed", "7");
        DemoResult result = Read(demo);
        Assert.True(demo.Status == 1, demo.ToString());
        Assert.Equal("failed", result.Outcome);
        Assert.Null(result.Winner);
        Assert.Equal(1, result.Runners);
        Assert.True(result.MemoryVerified);
        Assert.Empty(result.Leftovers);
        Assert.All(result.Replicas, replica => Assert.Equal("failed", replica.State));
    }

    [Fact]
    public async Task a_budget_for_all_replicas_ends_those_that_would_end_last()
    {
        // All are slow, so that the budget is spent, and that is noticed, seconds before anyone can win.
        Ended demo = await Programs.SpecMeshAsync(
            "demo", "--json", "--sq", "3", "--failed-targets", "0", "--slow-targets", "3", "--slow-rate", "8MiB", "--memory", "64MiB", "--max-operation-bytes", "8MiB", "--seed", "8");
        AssertGood(demo, 3);
        Assert.Contains(Read(demo).Replicas, replica => replica.Reason.StartsWith("operation-bytes", StringComparison.Ordinal));
    }

    private static void AssertGood(Ended demo, int sq)
    {
        Assert.True(demo.Status == 0, demo.ToString());
        DemoResult result = Read(demo);
        Assert.Equal("succeeded", result.Outcome);
        Assert.Equal(1, result.Runners);
        Assert.True(result.MemoryVerified);
        Assert.Empty(result.Leftovers);
        Assert.Equal(sq, result.Replicas.Count);
        Assert.Equal(result.Winner, Assert.Single(result.Replicas, replica => replica.State == "won").Target);
        // With little memory the race may be over before the broken target has broken: then it has lost.
        Assert.All(result.Replicas, replica => Assert.Contains(replica.State, (string[])["won", "aborted", "failed"]));
    }

    private static DemoResult Read(Ended demo) => JsonSerializer.Deserialize<DemoResult>(demo.Output, ContractJson.Strict) ?? throw new InvalidOperationException(demo.ToString());
}
