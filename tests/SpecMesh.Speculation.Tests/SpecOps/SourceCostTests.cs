using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>DESIGN section 9: "The source agent judges (it sees every sibling's counters, each second and at each round's end), by the pure code".</summary>
public sealed class SourceCostTests : SourceSteps
{
    [Fact]
    public void a_timeout_aborts_a_replica_but_never_the_last_one_nor_one_after_the_vote()
    {
        Copying(0, 1);
        ReplicaCounters slow = new(0, 0, 0, 0, 60_001);
        Step(new SourceInput.Tick(new Dictionary<int, ReplicaCounters> { [0] = slow with { ElapsedMs = 60_000 }, [1] = slow }));
        Assert.Equal((false, true), (State.Replicas[0].Ended, State.Replicas[1].Ended));
        Assert.Equal("timeout", Assert.IsType<ReplicaAborted>(Effects.OfType<SourceEffect.Report>().Single().Message).Reason.Code);
        Step(new SourceInput.Tick(new Dictionary<int, ReplicaCounters> { [0] = slow }));
        Assert.False(State.Replicas[0].Ended);

        State = new SourceState(Id, Vm, "a", 1, 5);
        Voted();
        Step(new SourceInput.Tick(new Dictionary<int, ReplicaCounters> { [0] = slow }));
        Assert.Equal((SourcePhase.Voted, false), (State.Phase, State.Replicas[0].Ended));
    }

    [Fact]
    public void siblings_are_judged_together_and_the_slow_one_is_aborted()
    {
        const long Memory = 1L << 30;
        CostLimits limits = new(3600, MinProgress: 0.05);
        foreach (int replica in (int[])[0, 1])
        {
            Step(new SourceInput.Join(Connect(replica) with { Cost = limits, MemoryBytes = Memory }));
            Step(new SourceInput.StreamOpened(replica));
        }

        Step(new SourceInput.OwnershipObserved(Open));
        List<ReplicaAborted> aborted = [];
        for (int second = 1; second <= 15 && aborted.Count == 0; second++)
        {
            Step(new SourceInput.Tick(
                new Dictionary<int, ReplicaCounters> { [0] = Sent(second * 1e7, second), [1] = Sent(second * 1e6, second) },
                new Dictionary<int, ReplicaProgress> { [0] = new((long)(Memory - (second * 1e7)), 1e7), [1] = new((long)(Memory - (second * 1e6)), 1e6) }));
            aborted.AddRange(Effects.OfType<SourceEffect.Report>().Select(report => report.Message).OfType<ReplicaAborted>());
        }

        ReplicaAborted slow = Assert.Single(aborted);
        Assert.Equal((1, "progress-late", 3), (slow.Replica, slow.Reason.Code, slow.Reason.Limit));
        Assert.InRange(slow.Counters.ElapsedMs, 12_000, 13_000);
        Assert.False(State.Replicas[0].Ended);
        static ReplicaCounters Sent(double bytes, int seconds) => new((long)bytes, (long)bytes / 4096, 0, 0, seconds * 1000);
    }

    [Fact]
    public void the_operations_bytes_count_replicas_that_have_ended()
    {
        CostLimits limits = new(3600, MaxOperationBytes: 100_000);
        foreach (int replica in (int[])[0, 1, 2])
        {
            Step(new SourceInput.Join(Connect(replica) with { Cost = limits }));
            Step(new SourceInput.StreamOpened(replica));
        }

        Step(new SourceInput.OwnershipObserved(Open));
        Step(new SourceInput.StreamFailed(0, Why, new ReplicaCounters(60_000, 1, 0, 0, 1)));
        Step(new SourceInput.Tick(new Dictionary<int, ReplicaCounters> { [1] = new(30_000, 1, 0, 0, 1), [2] = new(20_000, 1, 0, 0, 1) }));
        ReplicaAborted aborted = Assert.IsType<ReplicaAborted>(Effects.OfType<SourceEffect.Report>().Single().Message);
        Assert.Equal((2, new Reason("operation-bytes", aborted.Reason.Detail, 110_000, 100_000)), (aborted.Replica, aborted.Reason));
    }

    [Fact]
    public void the_last_replica_is_aborted_when_the_workload_says_so()
    {
        Step(new SourceInput.Join(Connect(0) with { Cost = new CostLimits(60, AbortLast: true) }));
        Step(new SourceInput.StreamOpened(0));
        Step(new SourceInput.OwnershipObserved(Open));
        Step(new SourceInput.Tick(new Dictionary<int, ReplicaCounters> { [0] = new(0, 0, 0, 0, 60_001) }));
        Assert.True(State.Replicas[0].Ended);
    }
}
