using SpecMesh.Protocol.Tests.Running;

namespace SpecMesh.Protocol.Tests.Regressions;

/// <summary>
/// Schedules that have found a failure once, each with its cause. A seed goes another way when the simulation changes, so the causes have tests of their own where they can be told
/// without it; these are named.
/// </summary>
public sealed class RegressionTests
{
    [Theory]
    [InlineData(68143, "An agent that stopped resumed a guest that stood still for the vote of another operation: the machine ran twice (RestartTests).")]
    [InlineData(56556, "The journal kept the vote of a guest that had died.")]
    [InlineData(88, "A source whose migration streams never opened was never told that its operation was over (SourceProtocolTests).")]
    [InlineData(201983, "A recovery that was given up left its operation open in the machine's facts, so a returned host kept memory for nobody (FenceHostTests).")]
    [InlineData(201576, "An operation waited for a replica that it had planned on a host after that host was confirmed dead (FencingTests).")]
    [InlineData(1026166, "Not a failure of the protocol: a refusal that a source sent before its death and that arrives before the fence makes its image void, and nobody can know better.")]
    public void a_schedule_that_failed_once_holds_every_rule(ulong seed, string cause)
    {
        Cluster cluster = Schedule.Run(new Plan(seed));
        Assert.True(cluster.Violation is null, $"{cluster.Violation?.Message}. It failed before: {cause}");
    }
}
