using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.FailureMonitor;
using SpecMesh.Speculation.Health;

namespace SpecMesh.Services.Tests.FailureMonitor;

public class HostWatchTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);

    private readonly ManualTime time = new();

    [Fact]
    public void only_the_silent_host_is_overdue()
    {
        HostWatch watch = new(time);
        watch.Heard("h1");
        watch.Heard("h2");
        time.Advance(4);
        watch.Heard("h2");
        time.Advance(2);

        HeartbeatDeadline overdue = Assert.Single(watch.Overdue(Limit));
        Assert.Equal("h1", overdue.HostId);
        Assert.Equal(new SilenceObserved("h1", TimeSpan.FromSeconds(6), true), watch.SilenceOf("h1"));
        Assert.Equal(new SilenceObserved("h2", TimeSpan.FromSeconds(2), true), watch.SilenceOf("h2"));
    }

    [Fact]
    public void a_known_host_gets_the_grace_of_one_limit_from_when_it_became_known()
    {
        HostWatch watch = new(time);
        time.Advance(100);
        watch.Apply(Stored("host-h1", new HostRegistered("h1", "rack-a", 1)));

        time.Advance(5);
        Assert.Empty(watch.Overdue(Limit));
        time.Advance(0.001);
        Assert.Equal("h1", Assert.Single(watch.Overdue(Limit)).HostId);
        Assert.False(watch.SilenceOf("h1")!.HeardSinceStart);
    }

    [Fact]
    public void a_suspected_host_is_not_overdue_again_and_a_recovered_one_may_be()
    {
        HostWatch watch = new(time);
        Reason why = new("silent", "For a test.");
        watch.Heard("h1");
        watch.Apply(Stored("health-h1", new HostSuspected("h1", why)));
        time.Advance(60);

        Assert.Empty(watch.Overdue(Limit));
        (BeatHeard beat, bool wasSuspected) = watch.Heard("h1");
        Assert.True(wasSuspected);
        Assert.Equal(TimeSpan.FromSeconds(60), beat.SilenceBefore);

        watch.Apply(Stored("health-h1", new HostRecovered("h1", why)));
        time.Advance(6);
        Assert.Single(watch.Overdue(Limit));
        Assert.False(watch.Heard("h1").WasSuspected);
    }

    [Fact]
    public void a_host_that_nobody_knows_has_no_silence() => Assert.Null(new HostWatch(time).SilenceOf("ghost"));

    private static StoredEvent Stored(string stream, object data) => new(1, Guid.Empty, stream, 1, "alias", data, DateTimeOffset.UnixEpoch, null);
}
