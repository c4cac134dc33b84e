using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>
/// One operation on simulated hosts: the production deciders and state machines, joined by a network that delays, repeats and reorders messages, loses calls
/// and their answers, and breaks migration streams, while agents crash. All chance comes from the seed. R1 to R6 are checked at every step, R7 and R8 at the end.
/// </summary>
public sealed class SimulatedMesh
{
    public const string Vm = "vm-1", SourceHost = "a";
    public static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Until then things go wrong; after that every operation has to end.</summary>
    public static readonly TimeSpan FaultsEnd = TimeSpan.FromSeconds(25);

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    private readonly PriorityQueue<Action, (TimeSpan At, long Order)> agenda = new();
    private readonly List<object> vmEvents = [];
    private readonly Dictionary<int, List<string>> reserved = [];
    private readonly List<string>? trace;
    private readonly double faultiness;
    private readonly double slowness;
    private long order;
    private long operationVersion;

    public SimulatedMesh(ulong seed, Mutation mutation = Mutation.None, bool traced = false)
    {
        Random = new Prng(seed);
        Mutation = mutation;
        trace = traced ? [] : null;
        faultiness = Random.NextDouble() < 0.15 ? 0 : Random.Uniform(0, 0.3);
        slowness = Random.NextInt(2) == 0 ? 2 : 5;
        CrashShare = Random.NextInt(2) == 0 ? 0.02 : 0.15;
        Id = new Guid((int)(seed & 0x7FFFFFFF), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
        Operation = new SpecOpState(Id);
        View = OwnershipDecider.Unknown(Vm);
        Kind = Random.NextDouble() < 0.2 ? OperationKind.PowerOn : OperationKind.Migrate;
        Source = new SimulatedSource(this);
        if (Kind == OperationKind.Migrate)
        {
            Guid earlier = new(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9);
            AppendToVm([new VmDefined(Vm, new VmDefinition(1 << 20)), new OperationOpened(Vm, earlier, OperationKind.PowerOn, 0)]);
            AppendToVm([new OwnershipTransferred(Vm, earlier, 0, SourceHost, 1, 0, "built"), new OperationClosed(Vm, earlier, OperationOutcome.Succeeded)]);
        }
    }

    public Prng Random { get; }

    /// <summary>How often an agent crashes, against how often anything else goes wrong.</summary>
    public double CrashShare { get; }

    public Mutation Mutation { get; }

    public Guid Id { get; }

    public OperationKind Kind { get; }

    public TimeSpan Clock { get; private set; }

    public DateTimeOffset Now => Start + Clock;

    public SpecOpState Operation { get; private set; }

    public OwnershipView View { get; private set; }

    public SimulatedSource Source { get; }

    public Dictionary<int, SimulatedTarget> Targets { get; } = [];

    public HashSet<string> Reservations { get; } = [];

    /// <summary>The event stream of the operation, as the store would hold it.</summary>
    public List<RecordedEvent> Recorded { get; } = [];

    public IReadOnlyList<object> VmEvents => vmEvents;

    public string Trace => trace is null ? "" : string.Join('\n', trace);

    /// <summary>Runs the operation from its request until nothing is left to do.</summary>
    /// <exception cref="InvariantException">An invariant does not hold.</exception>
    public void Run()
    {
        string? manager = Random.NextInt(6) switch { 0 => "retry-same-server", 1 => "retry-repick", _ => null };
        int? sq = manager is null ? 1 + Random.NextInt(4) : null;
        SubmitSpecOp submit = new(Id, Kind, Vm, sq, null, new CostLimits(Random.NextInt(4) == 0 ? 2 : 20), null, manager, Kind == OperationKind.PowerOn ? new VmDefinition(1 << 20) : null);
        ToService(submit);
        if (Random.NextInt(5) == 0)
        {
            After(TimeSpan.FromSeconds(Random.Uniform(0, Random.NextInt(2) == 0 ? 0.1 : 6)), () => ToService(new CancelSpecOp(Id)));
        }

        while (agenda.TryDequeue(out Action? next, out (TimeSpan At, long Order) when) && when.At < Patience)
        {
            Clock = when.At;
            next();
            CheckRunners();
        }

        CheckEnd();
    }

    /// <summary>True when a fault strikes now.</summary>
    public bool Strikes(double share = 1) => Clock < FaultsEnd && Random.NextDouble() < faultiness * share;

    public void After(TimeSpan pause, Action action) => agenda.Enqueue(action, (Clock + pause, order++));

    /// <summary>A delay of the network: mostly milliseconds, sometimes long enough to overtake anything.</summary>
    public TimeSpan Delay() => TimeSpan.FromMilliseconds(Strikes(slowness) ? Random.Uniform(0, 6000) : Random.Uniform(0.2, 20));

    public void Note(string text) => trace?.Add($"{Clock.TotalSeconds,8:F3} {(text.Length > 180 ? text[..180] : text)}");

    /// <summary>The bus: at least once, in any order.</summary>
    public void Deliver(Action action)
    {
        After(Delay(), action);
        if (Strikes())
        {
            After(Delay() + Delay(), action);
        }
    }

    public void ToService(object message) => Deliver(() => Handle(message));

    /// <summary>A direct call to the ownership event stream: the request or its answer may be lost, and the append may happen without anybody hearing of it.</summary>
    public void Call(Func<OwnershipView, OwnershipDecision> decide, Action<OwnershipAnswer> answered, Action unanswered)
    {
        if (Strikes())
        {
            After(Delay(), unanswered);
            return;
        }

        bool answerIsLost = Strikes();
        if (answerIsLost)
        {
            After(TimeSpan.FromMilliseconds(500), unanswered);
        }

        After(Delay(), () => Transact(() =>
        {
            OwnershipView read = View;
            OwnershipDecision decision = decide(read);
            return new Plan([], decision.Events, () =>
            {
                OwnershipAnswer answer = new(decision.Accepted, decision.Events.Aggregate(read, OwnershipDecider.Evolve), decision.Reason);
                if (!answerIsLost)
                {
                    After(Delay(), () => answered(answer));
                }
            });
        }));
    }

    public void Violated(string rule) => throw new InvariantException($"{rule} (at {Clock.TotalSeconds:F3} s)");

    /// <summary>The saga: facts are read, a decision is taken, and it is appended only if both event streams are where they were read.</summary>
    private void Handle(object message) => Transact(() =>
    {
        SpecOpFacts facts = new(View, []);
        SpecOpDecision decision = SpecOpDecider.Decide(Operation, message, facts, Now);
        DateTimeOffset at = Now;
        return new Plan(decision.Events, decision.OwnershipEvents, () =>
        {
            Note($"operation <- {message.GetType().Name} => {Names(decision.Events)} | {Names(decision.OwnershipEvents)}");
            for (int i = 0; i < decision.Events.Count; i++)
            {
                Operation = SpecOpState.Evolve(Operation, decision.Events[i]);
                Recorded.Add(new RecordedEvent(decision.Events[i], i == 0 ? DecidedFrom.Of(message, facts, at) : null));
            }

            operationVersion += decision.Events.Count;
            foreach (Effect effect in decision.Effects)
            {
                Send(effect);
            }
        });
    });

    /// <summary>Reads, decides, and some time later appends: only at the versions that were read, or the decision is taken again.</summary>
    private void Transact(Func<Plan> decide)
    {
        (long operationRead, long vmRead) = (operationVersion, View.Version);
        Plan plan = decide();
        After(TimeSpan.FromMilliseconds(Random.Uniform(0, 3)), () =>
        {
            bool conflict = (plan.Events.Count > 0 && operationRead != operationVersion) || (plan.OwnershipEvents.Count > 0 && vmRead != View.Version);
            if (conflict && Mutation != Mutation.AppendWithoutExpectedVersion)
            {
                Transact(decide);
                return;
            }

            AppendToVm(plan.OwnershipEvents);
            plan.Done();
            foreach (OwnershipTransferred won in plan.OwnershipEvents.OfType<OwnershipTransferred>())
            {
                ToService(won);
            }
        });
    }

    private void AppendToVm(IReadOnlyList<object> events)
    {
        foreach (object @event in events)
        {
            vmEvents.Add(@event);
            View = OwnershipDecider.Evolve(View, @event);
            Note($"{EventStreams.OfVm(Vm)} v{View.Version}: {@event}");
        }
    }

    private void Send(Effect effect)
    {
        TimeSpan pause = effect.DueAt is { } due && due > Now ? due - Now : TimeSpan.Zero;
        After(pause, () => Deliver(() => Receive(effect)));
    }

    private void Receive(Effect effect)
    {
        switch (effect.Message)
        {
            case StartReplica start: TargetOf(start.Replica, start.HostId).Receive(start); break;
            case AbortReplica abort when abort.HostId == SourceHost: Source.Receive(abort); break;
            case AbortReplica abort: TargetOf(abort.Replica, abort.HostId).Receive(abort); break;
            case ConnectReplica connect: Source.Receive(connect); break;
            case ReleaseSource release: Source.Receive(release); break;
            case ConfirmReplica confirm: TargetOf(confirm.Replica, confirm.HostId).Receive(confirm); break;
            case SelectTargets select: Place(select); break;
            case ReleaseTargets release: release.HostIds.ToList().ForEach(host => Reservations.Remove(host)); break;
            case SpecOpSettled when Operation.Completed?.WinnerHostId is { } winner: Reservations.Remove(winner); break;
            case SpecOpSettled or SpecOpAccepted or SpecOpCompleted or SpecOpRefused: break;
            default: Handle(effect.Message); break;
        }
    }

    private void Place(SelectTargets select)
    {
        if (!reserved.TryGetValue(select.Request, out List<string>? hosts))
        {
            hosts = [.. Random.Shuffle(["b", "c", "d", "e"]).Where(host => !select.Excluded.Contains(host)).Take(select.Count)];
            reserved[select.Request] = hosts;
            Reservations.UnionWith(hosts);
        }

        ToService(hosts.Count > 0
            ? new TargetsReserved(Id, select.Request, hosts, new Reason("targets-reserved", "Reserved."))
            : new TargetsRefused(Id, select.Request, new Reason("no-fitting-hosts", "None.")));
    }

    private SimulatedTarget TargetOf(int replica, string host)
    {
        if (!Targets.TryGetValue(replica, out SimulatedTarget? target))
        {
            target = new SimulatedTarget(this, replica, host);
            Targets[replica] = target;
        }

        return target;
    }

    private void CheckRunners()
    {
        int runners = (Source.Guest == GuestState.Running ? 1 : 0) + Targets.Values.Count(target => target.Shell == GuestState.Running);
        if (runners > 1)
        {
            Violated("R1: more than one host runs the machine");
        }

        bool ownerHasIt = View.OwnerHostId is not { } owner
            || (owner == SourceHost ? Source.Guest is not null : Targets.Values.Any(target => target.Host == owner && target.Shell is not null));
        if (!ownerHasIt)
        {
            Violated("R6: the owner's memory of the machine is gone");
        }
    }

    private void CheckEnd()
    {
        if (Operation is { Phase: SpecOpPhase.Refused, IsCancelRequested: true })
        {
            return;
        }

        if (Operation.Phase != SpecOpPhase.Settled)
        {
            Violated($"R7: the operation has not settled but is {Operation.Phase}");
        }

        bool left = Targets.Values.Any(target => target.Shell is not null && target.Host != View.OwnerHostId) || Reservations.Count > 0;
        if (left)
        {
            Violated($"R8: something of the operation is left; reservations: {string.Join(',', Reservations)}");
        }

        bool runs = View.OwnerHostId is null || Source.Guest == GuestState.Running || Targets.Values.Any(target => target.Shell == GuestState.Running);
        if (!runs || View.OpenOperationId is not null)
        {
            Violated("R7: the machine does not run, or is still in the operation");
        }
    }

    /// <summary>What one transaction is to append, and what follows once it has.</summary>
    private sealed record Plan(IReadOnlyList<object> Events, IReadOnlyList<object> OwnershipEvents, Action Done);

    private static string Names(IReadOnlyList<object> events) => string.Join(", ", events.Select(e => e.ToString()));
}
