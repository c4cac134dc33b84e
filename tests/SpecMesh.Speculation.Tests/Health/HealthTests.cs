using SpecMesh.Contracts;
using SpecMesh.Speculation.Health;

namespace SpecMesh.Speculation.Tests.Health;

public class HealthTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);
    private static readonly DateTimeOffset Now = DateTimeOffset.UnixEpoch.AddDays(1);

    private static readonly HealthState Trusted = HealthState.Unknown("h1");

    private static readonly HealthState Suspected = HealthState.Evolve(Trusted, new HostSuspected("h1", new Reason("silent", "For a test.")));

    [Fact]
    public void a_silence_beyond_the_limit_makes_a_suspicion_that_names_both()
    {
        Decision decision = HealthDecider.Decide(Trusted, Silent(7.25), Limit);

        HostSuspected suspected = Assert.IsType<HostSuspected>(Assert.Single(decision.Events));
        Assert.Equal(new Reason("silent", "No beat for 7.25 s; 5.0 s are allowed.", 7.25, 5), suspected.Reason);
        Assert.Equal(new Effect(suspected), Assert.Single(decision.Effects));
    }

    [Fact]
    public void a_silence_of_exactly_the_limit_is_none() => Assert.Empty(HealthDecider.Decide(Trusted, Silent(5), Limit).Events);

    [Fact]
    public void a_host_that_was_never_heard_is_suspected_for_that()
    {
        Decision decision = HealthDecider.Decide(Trusted, Silent(6) with { HeardSinceStart = false }, Limit);

        Assert.Equal("not-heard", Assert.IsType<HostSuspected>(Assert.Single(decision.Events)).Reason.Code);
    }

    [Fact]
    public void a_suspected_host_is_not_suspected_again() => Assert.Equal(Decision.Nothing, HealthDecider.Decide(Suspected, Silent(60), Limit));

    [Fact]
    public void a_beat_makes_a_suspected_host_trusted_and_a_trusted_one_nothing()
    {
        BeatHeard beat = new("h1", TimeSpan.FromSeconds(12.5));
        HostRecovered recovered = Assert.IsType<HostRecovered>(Assert.Single(HealthDecider.Decide(Suspected, beat).Events));

        Assert.Equal(new Reason("beats-again", "The host beats again after 12.5 s.", 12.5), recovered.Reason);
        Assert.Null(HealthState.Evolve(Suspected, recovered).Suspicion);
        Assert.Equal(Decision.Nothing, HealthDecider.Decide(Trusted, beat));
        Assert.Single(HealthDecider.Decide(Suspected, beat with { SilenceBefore = null }).Effects);
    }

    [Fact]
    public void faults_and_wins_are_counted_once_each()
    {
        HealthState state = Trusted;
        foreach (Decision decision in new[]
        {
            HealthDecider.Decide(state, Failed(1, 0), Now),
            HealthDecider.Decide(state, Failed(1, 1), Now),
            HealthDecider.Decide(state, new ReplicaResumed(Operation(2), 0, "h1", DateTimeOffset.UnixEpoch), Now),
        })
        {
            state = decision.Events.Aggregate(state, HealthState.Evolve);
        }

        Assert.Equal((1, 2), (state.Successes, state.Failures));
        Assert.Empty(HealthDecider.Decide(state, Failed(1, 1), Now).Events);
        Assert.Empty(HealthDecider.Decide(state, new ReplicaResumed(Operation(2), 0, "h1", DateTimeOffset.UnixEpoch), Now).Events);
        Assert.Single(HealthDecider.Decide(state, Failed(2, 1), Now).Events);
    }

    [Fact]
    public void counted_outcomes_fade_and_those_without_a_time_say_nothing_about_now()
    {
        HealthState state = HealthState.Evolve(Trusted, new ReplicaOutcomeCounted("h1", Operation(1), 0, Failed: true));
        Assert.Equal((1, 0), (state.Failures, state.Outcomes.Total));
        state = HealthDecider.Decide(state, Failed(2, 0), Now).Events.Aggregate(state, HealthState.Evolve);
        state = HealthDecider.Decide(state, Failed(3, 0), Now.AddSeconds(930)).Events.Aggregate(state, HealthState.Evolve);
        Assert.Equal(1.5, state.Outcomes.Failures, 9);
    }

    [Theory]
    [InlineData("suspend-failed")]
    [InlineData("guest-lost")]
    [InlineData("journal-failed")]
    public void a_source_s_fault_is_not_charged_to_the_target(string code) =>
        Assert.Empty(HealthDecider.Decide(Trusted, Failed(1, 0) with { Reason = new Reason(code, "The source's fault.") }, Now).Events);

    [Fact]
    public void the_memory_of_counted_replicas_is_bounded_and_the_counts_are_not()
    {
        HealthState state = Trusted;
        for (int operation = 0; operation < 3 * HealthState.RememberedReplicas; operation++)
        {
            state = HealthDecider.Decide(state, Failed(operation, 0), Now).Events.Aggregate(state, HealthState.Evolve);
        }

        Assert.Equal(3 * HealthState.RememberedReplicas, state.Failures);
        Assert.Equal(HealthState.RememberedReplicas, state.Counted.Count());
    }

    [Fact]
    public void an_event_of_another_event_stream_is_a_broken_invariant() =>
        Assert.Throws<InvalidOperationException>(() => HealthState.Evolve(Trusted, new HostRegistered("h1", "rack-a", 1)));

    private static Guid Operation(int number) => new(number, 0, 0, [0, 0, 0, 0, 0, 0, 0, 1]);

    private static SilenceObserved Silent(double seconds) => new("h1", TimeSpan.FromSeconds(seconds), HeardSinceStart: true);

    private static ReplicaFailed Failed(int operation, int replica) =>
        new(Operation(operation), replica, 1, "h1", new Reason("transfer-broken", "For a test."), ReplicaCounters.None);
}
