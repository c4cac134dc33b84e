using SpecMesh.Speculation.Health;

namespace SpecMesh.Speculation.Tests.Health;

/// <summary>The fault injector over named hosts and time.</summary>
public sealed class FaultScheduleTests
{
    private static readonly FaultModel Model = new(0.3, 60, 1800);

    private static readonly string[] Hosts = [.. Enumerable.Range(0, 11).Select(i => $"h{i:00}")];

    [Fact]
    public void exactly_the_share_has_failed_at_every_instant()
    {
        FaultSchedule schedule = new(Model, Hosts, seed: 7, nowSeconds: 0);
        HashSet<string> ever = [];
        for (double now = 0; now < 40_000; now += 13)
        {
            schedule.AdvanceTo(now);
            Assert.Equal(3, schedule.UntilSeconds.Count);
            Assert.All(schedule.UntilSeconds, fault => Assert.InRange(fault.Value, now + double.Epsilon, now + 1800));
            ever.UnionWith(schedule.UntilSeconds.Keys);
        }

        Assert.Equal(Hosts, ever.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void the_same_seed_gives_the_same_faults_however_seldom_it_is_asked_and_another_seed_others()
    {
        FaultSchedule often = new(Model, Hosts, 7, 0), seldom = new(Model, Hosts.Reverse(), 7, 0), other = new(Model, Hosts, 8, 0);
        for (double now = 0; now <= 20_000; now += 5)
        {
            often.AdvanceTo(now);
        }

        seldom.AdvanceTo(20_000);
        other.AdvanceTo(20_000);
        Assert.Equal(often.UntilSeconds, seldom.UntilSeconds);
        Assert.NotEqual(often.UntilSeconds, other.UntilSeconds);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.04)]
    public void a_share_that_rounds_to_no_host_fails_none(double share)
    {
        FaultSchedule schedule = new(new FaultModel(share), Hosts, 1, 0);
        schedule.AdvanceTo(1e6);
        Assert.Empty(schedule.UntilSeconds);
    }

    [Fact]
    public void a_share_that_leaves_no_host_healthy_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new FaultSchedule(new FaultModel(0.6), ["h1"], 1, 0));
}
