using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>A source agent, taken to where a test begins.</summary>
public abstract class SourceSteps
{
    protected static readonly OwnershipView Open = Running("a") with { Version = 5, OpenOperationId = Id };
    protected static readonly OwnershipView Closed = Open with { Version = 7, OpenOperationId = null };

    protected SourceState State { get; set; } = new(Id, Vm, "a", 1, 5);

    protected IReadOnlyList<SourceEffect> Effects { get; private set; } = [];

    protected DateTimeOffset Now { get; set; } = Start;

    protected static readonly IReadOnlyDictionary<int, ReplicaCounters> NoCounters = new Dictionary<int, ReplicaCounters>();

    protected static ConnectReplica Connect(int replica) => new(Id, replica, 1, Vm, "a", $"host-{replica}", "127.0.0.1:7000", 5, new CostLimits(60));

    protected static AbortReplica Abort(int replica) => new(Id, replica, 1, Vm, "a", ReplicaOutcome.Cancelled, Why);

    protected static OwnershipView Won(string host) => Open with { Version = 6, Epoch = 2, OwnerHostId = host, OwnerOperationId = Id, OwnerReplica = 0 };

    protected static SourceInput.RoundEnded Ended(int replica, long pending) => new(LateMessageTests.Round(replica, 1, pending), new ReplicaCounters(4096, 1, 1, 0, 5));

    protected void Copying(params int[] replicas)
    {
        foreach (int replica in replicas)
        {
            Step(new SourceInput.Join(Connect(replica)));
            Step(new SourceInput.StreamOpened(replica));
        }

        Step(new SourceInput.OwnershipObserved(Open));
    }

    protected void Finishing()
    {
        Copying(0, 1);
        Step(Ended(0, pending: 0));
        Step(new SourceInput.GuestSuspended());
    }

    protected void Voted()
    {
        Finishing();
        Step(new SourceInput.ReadyReceived(0, 0, "d"));
        Step(new SourceInput.VoteJournaled());
    }

    protected void Refusing()
    {
        Voted();
        Step(new SourceInput.StreamFailed(0, Why, ReplicaCounters.None));
    }

    /// <summary>The source's own refusal is durable, with nothing else in between.</summary>
    protected void Refused() => Step(new SourceInput.RefusalAnswered(new OwnershipAnswer(true, Open with { Version = 6, VoidedVersion = 6 }, null)));

    protected void Tick() => Step(new SourceInput.Tick(NoCounters));

    protected void Step(SourceInput input) => (State, Effects) = SourceProtocol.Step(State, input, SourceLimits.Default, Now);
}
