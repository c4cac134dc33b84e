using SpecMesh.Contracts;
using SpecMesh.Speculation.PreCopy;

namespace SpecMesh.Speculation.Tests.PreCopy;

/// <summary>DESIGN section 7, 3: "The first replica to meet the stop rule is the candidate."</summary>
public sealed class StopRuleTests
{
    private static readonly StopRule Rule = new(TimeSpan.FromMilliseconds(50), 30);

    [Theory]
    [InlineData(0, 0, RoundVerdict.StopAndCopy, "within-pause-budget")]
    [InlineData(1, 0, RoundVerdict.NextRound, "too-much-left")]
    [InlineData(1, -5, RoundVerdict.NextRound, "too-much-left")]
    [InlineData(1, double.NaN, RoundVerdict.NextRound, "too-much-left")]
    [InlineData(1000, 81_920_000, RoundVerdict.StopAndCopy, "within-pause-budget")]
    [InlineData(1001, 81_920_000, RoundVerdict.NextRound, "too-much-left")]
    public void what_is_left_must_fit_into_the_pause(long pendingPages, double bytesPerSecond, RoundVerdict verdict, string code)
    {
        (RoundVerdict judged, Reason reason) = Rule.Judge(Round(1, pendingPages, bytesPerSecond));
        Assert.Equal((verdict, code), (judged, reason.Code));
        Assert.True(reason.Observed is not { } observed || double.IsFinite(observed));
        Assert.Equal(50, reason.Limit);
    }

    [Theory]
    [InlineData(29, RoundVerdict.NextRound)]
    [InlineData(30, RoundVerdict.StopAndCopy)]
    [InlineData(31, RoundVerdict.StopAndCopy)]
    public void a_guest_that_dirties_as_fast_as_it_is_copied_is_stopped_at_the_last_round(int round, RoundVerdict verdict)
    {
        Assert.Equal(verdict, Rule.Judge(Round(round, 1_000_000, 1e6)).Verdict);
    }

    [Fact]
    public void few_pages_at_the_last_round_stop_because_they_fit()
    {
        Assert.Equal("within-pause-budget", Rule.Judge(Round(30, 1, 1e6)).Reason.Code);
        Assert.Equal("round-limit", Rule.Judge(Round(30, 1_000_000, 1e6)).Reason.Code);
    }

    private static ReplicaRoundCompleted Round(int round, long pending, double rate) =>
        new(Guid.Empty, 0, "b", round, false, 1, 0, 4096, 1, 1, pending, rate, DateTimeOffset.UnixEpoch);
}
