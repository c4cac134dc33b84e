using System.Globalization;
using SpecMesh.Protocol.Tests.Checks;
using SpecMesh.Protocol.Tests.Running;
using Xunit.Abstractions;

namespace SpecMesh.Protocol.Tests;

/// <summary>The whole cluster in simulated time, one seed one schedule: R1 to R8 and I1 to I7 hold after every step, and everything ends once the faults have stopped.</summary>
public sealed class ProtocolTests(ITestOutputHelper output)
{
    /// <summary>More can be run with <c>SPECMESH_SCHEDULES</c>, and far more with <c>tests/run protocol --seeds N --from S</c>.</summary>
    private static readonly ulong Schedules = ulong.TryParse(Environment.GetEnvironmentVariable("SPECMESH_SCHEDULES"), NumberStyles.None, CultureInfo.InvariantCulture, out ulong asked) ? asked : 10_000;

    [Fact]
    public void every_schedule_holds_every_rule_and_together_they_see_every_state_and_every_fault()
    {
        Campaign campaign = new(1, Schedules, Environment.ProcessorCount);
        campaign.Run(_ => { });
        output.WriteLine(campaign.Coverage.ToString());
        foreach ((ulong seed, InvariantException violation) in campaign.Failures.OrderBy(failure => failure.Seed).Take(5))
        {
            Shrunk shrunk = Shrinking.Shrink(new Plan(seed), violation);
            Assert.Fail($"Seed {seed}: {violation.Message}\nReplay: tests/run protocol --seed {seed} --trace\n{shrunk}");
        }

        Assert.Empty(campaign.Coverage.Missing());
    }

    [Fact]
    public void a_seed_is_one_schedule_however_often_it_is_run()
    {
        for (ulong seed = 1; seed <= 20; seed++)
        {
            string first = Schedule.Run(new Plan(seed) { Traced = true }).Trace!.ToString()!;
            Assert.Equal(first, Schedule.Run(new Plan(seed) { Traced = true }).Trace!.ToString());
            Assert.NotEmpty(first);
        }
    }
}
