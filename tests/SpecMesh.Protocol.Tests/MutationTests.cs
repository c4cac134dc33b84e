using SpecMesh.Protocol.Tests.Mutations;
using SpecMesh.Protocol.Tests.Running;
using Xunit.Abstractions;

namespace SpecMesh.Protocol.Tests;

/// <summary>The checks can fail: each rule that is broken on purpose is seen within 10,000 schedules, as a violation of a rule that it breaks.</summary>
public sealed class MutationTests(ITestOutputHelper output)
{
    private const ulong Schedules = 10_000;

    public static TheoryData<string> Names => [.. Mutation.OfTheProtocol.Concat(Mutation.OfTheDataPath).Select(mutation => mutation.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void a_broken_rule_is_caught(string name)
    {
        Mutation mutation = Mutation.Find(name)!;
        Campaign search = new(1, Schedules, Environment.ProcessorCount) { MostFailures = 1, PlanOf = mutation.PlanOf, Counts = violation => mutation.Rules.Contains(violation.Rule) };
        search.Run(_ => { });
        Assert.True(search.Failures.TryPeek(out (ulong Seed, Checks.InvariantException Violation) caught), $"{name} was not seen in {Schedules} schedules.");
        output.WriteLine($"{name}: seed {caught.Seed}: {caught.Violation.Message}");
    }

    [Fact]
    public void a_failing_schedule_is_made_smaller_and_still_fails_by_the_same_rule()
    {
        Mutation mutation = Mutation.Find("target-runs-on-vote")!;
        Campaign search = new(1, Schedules, 1) { MostFailures = 1, PlanOf = mutation.PlanOf, Counts = violation => mutation.Rules.Contains(violation.Rule) };
        search.Run(_ => { });
        (ulong seed, Checks.InvariantException violation) = Assert.Single(search.Failures);
        int before = Schedule.Run(mutation.PlanOf(seed)).Faults.Happened.Count;
        Shrunk shrunk = Shrinking.Shrink(mutation.PlanOf(seed), violation);
        output.WriteLine(shrunk.ToString());
        Assert.Equal(violation.Rule, shrunk.Cluster.Violation?.Rule);
        Assert.True(shrunk.Cluster.Faults.Happened.Count <= before);
        Assert.NotEmpty(shrunk.Cluster.Trace!.ToString());
    }
}
