using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>One operation, by hand: each message is decided on, and what it decides is folded in.</summary>
public sealed class Scenario
{
    public const string Vm = "vm-1";
    public static readonly Guid Id = new("11111111-2222-3333-4444-555555555555");
    public static readonly Guid Earlier = new("99999999-2222-3333-4444-555555555555");
    public static readonly Reason Why = new("because", "Because.");
    public static readonly VmDefinition Definition = new(64 << 20);
    public static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public SpecOpState State { get; private set; } = new(Id);

    public OwnershipView View { get; private set; } = Running("a");

    public DateTimeOffset Now { get; set; } = Start;

    /// <summary>What has become of hosts that wait for a hedge.</summary>
    public IReadOnlyList<UnfitHost>? Unfit { get; set; }

    public SpecOpDecision Last { get; private set; } = SpecOpDecision.Nothing;

    public List<RecordedEvent> Recorded { get; } = [];

    /// <summary>A machine that runs on a host, in epoch 1 at version 4.</summary>
    public static OwnershipView Running(string host) => new(Vm, 4, Definition, 1, host, null, Earlier, 0);

    public static SubmitSpecOp Migrate(int? sq = null, IReadOnlyList<string>? targets = null, string? manager = null) =>
        new(Id, OperationKind.Migrate, Vm, sq, targets, new CostLimits(60), null, manager);

    public static SubmitSpecOp PowerOn(int? sq = null) => new(Id, OperationKind.PowerOn, Vm, sq, null, new CostLimits(60), null, null, Definition);

    /// <summary>An operation with a replica on each of these hosts.</summary>
    public static Scenario Racing(string manager = "speculative", params string[] hosts)
    {
        Scenario scenario = new();
        scenario.Do(Migrate(manager == "speculative" ? hosts.Length : null, null, manager));
        scenario.Do(new TargetsReserved(Id, 0, hosts, Why));
        for (int i = 0; i < hosts.Length; i++)
        {
            scenario.Do(new ReplicaStarted(Id, i, 1, hosts[i], "127.0.0.1:7000"));
        }

        return scenario;
    }

    /// <summary>A power-on of a new machine with a replica on each of these hosts.</summary>
    public static Scenario PoweringOn(params string[] hosts)
    {
        Scenario scenario = new() { View = OwnershipDecider.Unknown(Vm) };
        scenario.Do(PowerOn(hosts.Length));
        scenario.Do(new TargetsReserved(Id, 0, hosts, Why));
        return scenario;
    }

    public SpecOpDecision Do(object message)
    {
        SpecOpFacts facts = new(View, [], UnfitHosts: Unfit);
        Last = SpecOpDecider.Decide(State, message, facts, Now);
        for (int i = 0; i < Last.Events.Count; i++)
        {
            Recorded.Add(new RecordedEvent(Last.Events[i], i == 0 ? DecidedFrom.Of(message, facts, Now) : null));
        }

        State = Last.Events.Aggregate(State, SpecOpState.Evolve);
        View = Last.OwnershipEvents.Aggregate(View, OwnershipDecider.Evolve);
        return Last;
    }

    /// <summary>The commit of a replica reaches the event stream; its news is another matter.</summary>
    public OwnershipTransferred Commit(int replica, string host)
    {
        OwnershipDecision decision = OwnershipDecider.Transfer(View, new TransferOwnership(Id, replica, host, State.Accepted!.Epoch, View.Version, 0, "d"));
        View = decision.Events.Aggregate(View, OwnershipDecider.Evolve);
        return Assert.IsType<OwnershipTransferred>(Assert.Single(decision.Events));
    }

    /// <summary>Somebody appends to the event stream of the machine.</summary>
    public void Append(IReadOnlyList<object> events) => View = events.Aggregate(View, OwnershipDecider.Evolve);

    /// <summary>Begins with another machine.</summary>
    public void PutView(OwnershipView view) => View = view;

    public void Ended(int replica, string host, string code = "stream-lost") =>
        Do(new ReplicaFailed(Id, replica, State.Accepted!.Epoch, host, new Reason(code, "It broke."), ReplicaCounters.None));

    /// <summary>Everybody says that nothing is left, and the winner that it runs.</summary>
    public void SettleAll()
    {
        foreach (ReplicaState replica in State.Replicas.Values.Where(replica => replica.Outcome != ReplicaOutcome.Won))
        {
            Do(new ReplicaCleaned(Id, replica.Replica, replica.HostId));
        }

        if (State.Completed?.WinnerReplica is { } winner)
        {
            Do(new ReplicaResumed(Id, winner, State.Replicas[winner].HostId, Now));
        }

        if (State.Accepted?.SourceHostId is { } source)
        {
            Do(new SourceReleased(Id, source, State.Completed?.WinnerReplica is not null, 12.5, [0], [new ReplicaCounters(4096, 1, 1, 0, 1)]));
        }
    }

    public IEnumerable<T> Sent<T>() => Last.Effects.Select(effect => effect.Message).OfType<T>();

    public T TheOne<T>() => Assert.Single(Last.Events.OfType<T>());

    public void NothingHappened()
    {
        Assert.Empty(Last.Events);
        Assert.Empty(Last.OwnershipEvents);
    }
}
