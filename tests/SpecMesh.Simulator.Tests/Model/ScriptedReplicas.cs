using SpecMesh.Contracts;
using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Model;
using SpecMesh.Speculation;
using SpecMesh.Speculation.Health;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Simulator.Tests.Model;

/// <summary>How each replica of one operation ends, by the order in which they start.</summary>
/// <param name="Manager">Name of the manager, as a request gives it.</param>
/// <param name="Sq">Replicas.</param>
/// <param name="HedgeSeconds">Delay of a hedged start; null: all at once.</param>
/// <param name="Ends">Seconds after its start, and whether it is ready then or fails.</param>
internal sealed record ReplicaScript(string Manager, int Sq, double? HedgeSeconds, IReadOnlyList<(double Seconds, bool IsReady)> Ends);

/// <summary>What a manager did: each line with its time in milliseconds.</summary>
internal sealed record ReplicaTrace(List<string> Lines)
{
    public void Add(double seconds, string what) => Lines.Add($"{Math.Round(seconds * 1000)} {what}");
}

/// <summary>The simulator's manager, with replicas that end as the script says.</summary>
internal sealed class SimulatedOperation : IReplicaWork, IOperationOwner
{
    private readonly EventQueue queue = new();
    private readonly ReplicaScript script;
    private readonly ReplicaTrace trace = new([]);
    private readonly Race race;

    private SimulatedOperation(ReplicaScript script)
    {
        this.script = script;
        ManagerKind kind = script.Manager == Managers.RetrySameServer.Name ? ManagerKind.RetrySameServer : script.HedgeSeconds is null ? ManagerKind.AllAtOnce : ManagerKind.Hedged;
        race = new Race(queue, new FaultInjector(queue, new FaultModel(0), 64, 1), new Conduct(kind, NaiveRetry.Live, script.HedgeSeconds ?? 0), 64);
        race.Connect(this, this);
    }

    public static List<string> Play(ReplicaScript script)
    {
        SimulatedOperation played = new(script);
        played.race.Open(0, 0, -1, [.. Enumerable.Range(0, script.Sq)], SimTime.FromSeconds(1e6), counted: true);
        while (played.queue.TryPop(out SimEvent next))
        {
            switch (next.Kind)
            {
                case EventKind.ReplicaError when played.race.IsCurrent(next): played.race.Fail((int)next.Entity); break;
                case EventKind.BootEnd when played.race.IsCurrent(next): played.race.Win((int)next.Entity); break;
                case EventKind.OperationTimer: played.race.TimerDue(next); break;
            }
        }

        return played.trace.Lines;
    }

    public void Begin(int replica)
    {
        ref Replica begun = ref race.ReplicaAt(replica);
        trace.Add(Now, $"starts replica {begun.Number} on {begun.Server}");
        (double seconds, bool isReady) = script.Ends[begun.Number];
        begun.Event = queue.Push(queue.NowNs + SimTime.FromSeconds(seconds), isReady ? EventKind.BootEnd : EventKind.ReplicaError, (uint)replica);
    }

    public bool Refuses(int server) => false;

    public double ErrorSeconds(int replica) => throw new InvalidOperationException("No server is failed.");

    public void End(int replica)
    {
        // What a scripted replica does is over with its event.
    }

    public void Won(int operation, int winner) => trace.Add(Now, $"won by replica {race.ReplicaAt(winner).Number}");

    public void Lost(int operation) => trace.Add(Now, "failed");

    public void Learned(int server, bool failed)
    {
        // Nothing is estimated here.
    }

    private double Now => SimTime.ToSeconds(queue.NowNs);
}

/// <summary>The decider of the services, with replicas that end as the script says, and commits that succeed at once.</summary>
internal sealed class DecidedOperation
{
    private const string Vm = "vm-1";
    private static readonly Guid Id = new("11111111-2222-3333-4444-555555555555");
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly ReplicaScript script;
    private readonly ReplicaTrace trace = new([]);
    private readonly PriorityQueue<object, (DateTimeOffset At, int Order)> inputs = new();
    private SpecOpState state = new(Id);
    private OwnershipView view = new(Vm, 4, new VmDefinition(64 << 20), 1, "source", null, Guid.Empty, 0);
    private DateTimeOffset now = Start;
    private int order;

    private DecidedOperation(ReplicaScript script) => this.script = script;

    public static List<string> Play(ReplicaScript script)
    {
        DecidedOperation played = new(script);
        ReplicationWish? wish = script.HedgeSeconds is { } delay ? new ReplicationWish("hedged", HedgeDelaySeconds: delay) : null;
        int? sq = script.Manager == Managers.RetrySameServer.Name ? null : script.Sq;
        played.Do(new SubmitSpecOp(Id, OperationKind.Migrate, Vm, sq, null, new CostLimits(80_000), null, script.Manager, null, null, wish));
        played.Do(new TargetsReserved(Id, 0, [.. Enumerable.Range(0, script.Sq).Select(host => $"{host}")], new Reason("test", "Test.")));
        while (played.state.Phase == SpecOpPhase.Racing && played.inputs.TryDequeue(out object? input, out (DateTimeOffset At, int) due))
        {
            played.now = due.At;
            played.Hear(input);
        }

        return played.trace.Lines;
    }

    private void Hear(object input)
    {
        if (input is not ReplicaReady ready)
        {
            Do(input);
        }
        else if (state.Replicas[ready.Replica].Outcome is null)
        {
            OwnershipDecision commit = OwnershipDecider.Transfer(view, new TransferOwnership(Id, ready.Replica, ready.HostId, ready.Epoch, view.Version, 0, "d"));
            view = commit.Events.Aggregate(view, OwnershipDecider.Evolve);
            Do(Assert.IsType<OwnershipTransferred>(Assert.Single(commit.Events)));
        }
    }

    private void Do(object input)
    {
        SpecOpDecision decision = SpecOpDecider.Decide(state, input, new SpecOpFacts(view, []), now);
        state = decision.Events.Aggregate(state, SpecOpState.Evolve);
        view = decision.OwnershipEvents.Aggregate(view, OwnershipDecider.Evolve);
        foreach (Effect effect in decision.Effects)
        {
            if (effect.Message is StartReplica start)
            {
                trace.Add((now - Start).TotalSeconds, $"starts replica {start.Replica} on {start.HostId}");
                (double seconds, bool isReady) = script.Ends[start.Replica];
                Later(TimeSpan.FromSeconds(0), new ReplicaStarted(Id, start.Replica, start.Epoch, start.HostId, "127.0.0.1:7000"));
                Later(TimeSpan.FromSeconds(seconds), isReady
                    ? new ReplicaReady(Id, start.Replica, start.Epoch, start.HostId, 0, "d")
                    : new ReplicaFailed(Id, start.Replica, start.Epoch, start.HostId, new Reason("test", "Test."), ReplicaCounters.None));
            }
            else if (effect.Message is RetryDeadline or HedgeDeadline)
            {
                Later(effect.DueAt!.Value - now, effect.Message);
            }
        }

        foreach (SpecOpCompleted completed in decision.Events.OfType<SpecOpCompleted>())
        {
            trace.Add((now - Start).TotalSeconds, completed.WinnerReplica is { } winner ? $"won by replica {winner}" : "failed");
        }
    }

    private void Later(TimeSpan after, object input) => inputs.Enqueue(input, (now + after, order++));
}
