using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>DESIGN section 5: "A recorded event stream of a live operation, re-decided, MUST give the same events."</summary>
public sealed class RedecisionTests
{
    [Fact]
    public void a_decision_with_an_event_missing_or_repeated_is_found()
    {
        List<RecordedEvent> good = Won().Recorded;
        Assert.Null(Redecision.FirstDifference(Id, good));
        for (int i = 0; i < good.Count; i++)
        {
            List<RecordedEvent> without = [.. good];
            without.RemoveAt(i);

            // A whole decision that is missing shows as a gap in the versions, which no store allows; a part of one shows here.
            bool isWholeDecision = good[i].From is not null && (i == good.Count - 1 || good[i + 1].From is not null);
            Assert.True(isWholeDecision || Redecision.FirstDifference(Id, without) is not null, $"without event {i + 1}");
            List<RecordedEvent> twice = [.. good];
            twice.Insert(i, good[i]);
            Assert.NotNull(Redecision.FirstDifference(Id, twice));
        }
    }

    [Fact]
    public void a_changed_winner_reason_or_time_is_found()
    {
        AssertFound<SpecOpCompleted>(completed => completed with { WinnerHostId = "c" });
        AssertFound<ReplicaAborted>(aborted => aborted with { Reason = Why });
        AssertFound<SpecOpAccepted>(accepted => accepted with { DeadlineAt = accepted.DeadlineAt.AddTicks(1) });
    }

    [Fact]
    public void a_record_that_does_not_say_what_it_was_decided_from_is_found()
    {
        List<RecordedEvent> bare = [.. Won().Recorded.Select(recorded => recorded with { From = null })];
        Assert.Contains("does not say", Redecision.FirstDifference(Id, bare), StringComparison.Ordinal);
    }

    [Fact]
    public void an_input_that_is_no_contract_is_found()
    {
        List<RecordedEvent> strange = Won().Recorded;
        strange[0] = strange[0] with { From = strange[0].From! with { Input = "Nonsense" } };
        Assert.Contains("no contract", Redecision.FirstDifference(Id, strange), StringComparison.Ordinal);
    }

    private static Scenario Won()
    {
        Scenario scenario = Racing(hosts: ["b", "c"]);
        scenario.Do(new ReplicaRoundsReported(Id, 1, [LateMessageTests.Round(0, 1)]));
        scenario.Do(new ReplicaReady(Id, 0, 1, "b", 0, "d"));
        scenario.Do(scenario.Commit(0, "b"));
        scenario.SettleAll();
        Assert.Equal(SpecOpPhase.Settled, scenario.State.Phase);
        return scenario;
    }

    private static void AssertFound<T>(Func<T, object> change)
    {
        List<RecordedEvent> recorded = Won().Recorded;
        int at = recorded.FindIndex(e => e.Event is T);
        recorded[at] = recorded[at] with { Event = change((T)recorded[at].Event) };
        Assert.Contains($"Event {at + 1}", Redecision.FirstDifference(Id, recorded), StringComparison.Ordinal);
    }
}
