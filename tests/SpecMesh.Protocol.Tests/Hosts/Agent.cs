using SpecMesh.Contracts;
using SpecMesh.Protocol.Tests.Checks;
using SpecMesh.Protocol.Tests.Engine;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Protocol.Tests.Network;
using SpecMesh.Protocol.Tests.Services;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>
/// One run of one host's agent. Its two state machines and its recovery are production code; this is what the agent's shell does around them, step by step as the agent does it,
/// on simulated guests, streams, journal and bus.
/// </summary>
internal sealed class Agent
{
    private readonly Dictionary<Guest, bool> guests = [];
    private readonly HashSet<(Guid, int)> endedReplicas = [];
    private readonly Dictionary<Guid, SourceReleased> released = [];
    private long beats;

    public Agent(SimulatedHost host)
    {
        Host = host;
        Life = new Life(Cluster.Scheduler) { Crash = () => Cluster.CrashAgent(host) };
        Clock = new NodeClock(Cluster.Scheduler, host.Node, Life);
        Reports = new AgentReports(this);
        Reconciler = new AgentReconciler(this);
    }

    public SimulatedHost Host { get; }

    public Cluster Cluster => Host.Cluster;

    public Life Life { get; }

    public NodeClock Clock { get; }

    public AgentReports Reports { get; }

    public AgentReconciler Reconciler { get; }

    /// <summary>Guests that live here because the event stream has said so.</summary>
    public IReadOnlyList<Guest> OwnedGuests => [.. guests.Where(pair => pair.Value && pair.Key.State is not null).Select(pair => pair.Key)];

    public Dictionary<Guid, SourceSide> Sources { get; } = [];

    public Dictionary<(Guid, int), TargetSide> Targets { get; } = [];

    public Node Node => Host.Node;

    /// <summary>True once it has recovered: before, it takes no command.</summary>
    public bool Takes { get; private set; }

    public void Start() => Cluster.Scheduler.Post(Life, _ => Guard(RunAsync()), null);

    /// <summary>It dies. Guests and journal stay.</summary>
    public void Crash()
    {
        if (Life.IsOver)
        {
            return;
        }

        Cluster.Trace?.Note($"{Host.Id}: the agent dies");
        Gone();
    }

    /// <summary>It stops in order: everything is let go of as the agent does it.</summary>
    public void Stop()
    {
        if (Life.IsOver)
        {
            return;
        }

        Cluster.Trace?.Note($"{Host.Id}: the agent stops");
        foreach (SourceSide source in Sources.Values)
        {
            source.LetGo();
        }

        Gone();
    }

    /// <summary>Runs an asynchronous piece of the agent; what it throws nobody has foreseen.</summary>
    public void Guard(Task task)
    {
        if (!task.IsCompletedSuccessfully)
        {
            _ = ObserveAsync(task);
        }
    }

    public void Handle(BusMessage message) => Cluster.Scheduler.Post(
        Life,
        _ =>
        {
            Cluster.Trace?.Note($"{Host.Id} <- {message.Content}");
            Command(message.Content);
            Cluster.Broker.Acknowledge(Host, message);
        },
        null);

    /// <summary>The guest of a machine that this host owns.</summary>
    public Guest? Owned(string vmId) => guests.Where(pair => pair.Value && pair.Key.VmId == vmId && pair.Key.State is not null).Select(pair => pair.Key).MaxBy(guest => guest.Epoch);

    public bool HasWon(Guid operationId, int replica) => guests.Any(pair => pair.Value && pair.Key.OperationId == operationId && pair.Key.Replica == replica);

    public bool IsBusyWith(string vmId) => Sources.Values.Any(source => source.VmId == vmId) || Targets.Values.Any(target => target.VmId == vmId);

    public bool HasGuestOf(string vmId) => guests.Keys.Any(guest => guest.VmId == vmId && guest.State is not null);

    public void GuestOwned(Guest guest)
    {
        guests[guest] = true;
        Watch(guest, () =>
        {
            if (guests.Remove(guest))
            {
                Reconciler.SawEnd(guest);
                Reconciler.Soon();
            }
        });
    }

    public void GuestKept(Guest guest) => guests.TryAdd(guest, false);

    public void GuestGone(Guest guest) => guests.Remove(guest);

    /// <summary>The agent is told when the guest ends, if it still runs then.</summary>
    public void Watch(Guest guest, Action exited)
    {
        Action? before = guest.Exited;
        guest.Exited = () =>
        {
            before?.Invoke();
            Cluster.Scheduler.Post(Life, _ => exited(), null);
        };
    }

    public void Tell(object message, int epoch)
    {
        if (message is SourceReleased said)
        {
            released.TryAdd(said.OperationId, said);
        }

        Reports.Tell(message, epoch);
    }

    public void Forget(SourceSide source)
    {
        Sources.Remove(source.OperationId);
        Guard(source.CloseAsync());
    }

    public void Forget(TargetSide target)
    {
        endedReplicas.Add((target.OperationId, target.Replica));
        Targets.Remove((target.OperationId, target.Replica));
        target.Close();
    }

    public void TakeOver(TargetSide target) => Targets[(target.OperationId, target.Replica)] = target;

    /// <summary>A call to replication-policy; false when it counts as unanswered.</summary>
    public Task<(bool Answered, T? Value)> CallAsync<T>(Func<ReplicationPolicy.Ownership, Task<T>> call, Action<T>? late = null) =>
        Cluster.Calls.CallAsync(Node, TimeSpan.FromSeconds(2), policy => call(policy.Get<ReplicationPolicy.Ownership>()), late);

    /// <summary>Publishes something; false when the broker did not confirm it.</summary>
    public async Task<bool> PublishAsync(object message)
    {
        await Life.Pause(Cluster.Links.Delay());
        if (Cluster.Links.IsCut(Node, Cluster.BrokerNode) || Cluster.Faults.Strikes(Fault.MessageLost, 0.3))
        {
            return false;
        }

        Cluster.Broker.Accept(message, null, Cluster.NextMessageId());
        return !Cluster.Links.IsCut(Cluster.BrokerNode, Node) && !Cluster.Faults.Strikes(Fault.ConfirmLost, 0.3);
    }

    private void Gone()
    {
        Life.End();
        Takes = false;
        foreach (MigrationStream stream in Sources.Values.SelectMany(source => source.OpenStreams).Concat(Targets.Values.Select(target => target.Stream).OfType<MigrationStream>()).ToList())
        {
            stream.EndDied(this);
        }

        foreach (SourceSide source in Sources.Values)
        {
            source.AbandonLog();
        }

        Cluster.Broker.Abandon(Host);
        Host.AgentGone();
    }

    private async Task RunAsync()
    {
        await AgentRecovery.RunAsync(this);
        Takes = true;
        Cluster.Broker.Flush(Host.Queue);
        Reports.Run();
        Guard(Reconciler.RunAsync());
        while (true)
        {
            List<HostedGuest> listed =
            [
                .. guests.Keys.Where(guest => guest.State is not null).Select(guest => new HostedGuest(guest.VmId, guest.State!.Value, Cluster.MemoryBytes, guest.OperationId, guest.Replica)),
                .. Targets.Values.Where(target => !HasWon(target.OperationId, target.Replica))
                    .Select(target => new HostedGuest(target.VmId, GuestState.Paused, Cluster.MemoryBytes, target.OperationId, target.Replica)),
            ];
            HostHeartbeat beat = new(Host.Id, Host.FailureDomain, Host.MemoryBytes, Host.Id, "simulated", "simulated", listed, ++beats, Clock.GetUtcNow());
            Guard(PublishAsync(beat));
            await Life.Pause(TimeSpan.FromSeconds(ServiceProcess.HeartbeatSeconds));
        }
    }

    private void Command(object command)
    {
        switch (command)
        {
            case StartReplica start: StartTarget(start); break;
            case ConnectReplica connect: Connect(connect); break;
            case AbortReplica abort: Abort(abort); break;
            case ReleaseSource release: Release(release); break;
            case ConfirmReplica confirm: Confirm(confirm); break;
            case CommitReplica commit: Commit(commit); break;
            case ReconcileHost reconcile: Reconciler.Look(reconcile.NothingUnknown); break;
            default: throw new InvalidOperationException($"{command.GetType().Name} is no command for an agent.");
        }
    }

    private void StartTarget(StartReplica command)
    {
        (Guid, int) key = (command.OperationId, command.Replica);
        bool isHere = guests.Keys.Any(guest => (guest.OperationId, guest.Replica) == key);
        if (!isHere && !endedReplicas.Contains(key) && !Targets.ContainsKey(key))
        {
            TargetSide target = new(this, command, null);
            Targets[key] = target;
            target.Post(new TargetInput.Start());
        }
    }

    private void Connect(ConnectReplica command)
    {
        if (endedReplicas.Contains((command.OperationId, command.Replica)))
        {
            return;
        }

        if (!Sources.ContainsKey(command.OperationId) && Owned(command.VmId) is null)
        {
            Reason reason = new("machine-not-here", $"{command.VmId} does not run on {Host.Id}.");
            Tell(new ReplicaFailed(command.OperationId, command.Replica, command.Epoch, command.TargetHostId, reason, ReplicaCounters.None), command.Epoch);
            return;
        }

        SourceOf(command.OperationId, command.VmId, command.Epoch, command.OwnershipVersion).Post(new SourceInput.Join(command));
    }

    private void Abort(AbortReplica command)
    {
        if (Targets.TryGetValue((command.OperationId, command.Replica), out TargetSide? target))
        {
            target.Post(new TargetInput.Abort(command));
        }
        else if (Sources.TryGetValue(command.OperationId, out SourceSide? source))
        {
            source.Post(new SourceInput.Abort(command));
        }
        else if (!HasWon(command.OperationId, command.Replica))
        {
            endedReplicas.Add((command.OperationId, command.Replica));
            Reports.Tell(new ReplicaCleaned(command.OperationId, command.Replica, command.HostId), 0);
        }
    }

    private void Commit(CommitReplica command)
    {
        if (Targets.TryGetValue((command.OperationId, command.Replica), out TargetSide? target))
        {
            target.Post(new TargetInput.CommitGranted(command));
        }
        else if (!HasWon(command.OperationId, command.Replica))
        {
            endedReplicas.Add((command.OperationId, command.Replica));
            Reports.Tell(new ReplicaCleaned(command.OperationId, command.Replica, command.HostId), 0);
        }
    }

    private void Confirm(ConfirmReplica command)
    {
        if (HasWon(command.OperationId, command.Replica))
        {
            Reports.Tell(new ReplicaResumed(command.OperationId, command.Replica, command.HostId, Clock.GetUtcNow()), 0);
        }
    }

    private void Release(ReleaseSource command)
    {
        if (released.TryGetValue(command.OperationId, out SourceReleased? said))
        {
            Tell(said, command.Epoch);
            return;
        }

        SourceOf(command.OperationId, command.VmId, command.Epoch, 0).Post(new SourceInput.Release());
    }

    private SourceSide SourceOf(Guid operationId, string vmId, int epoch, long ownershipVersion)
    {
        if (Sources.TryGetValue(operationId, out SourceSide? source))
        {
            return source;
        }

        source = new SourceSide(this, new SourceState(operationId, vmId, Host.Id, epoch, ownershipVersion), Owned(vmId));
        foreach (SourceSide earlier in Sources.Values.Where(other => other.VmId == vmId))
        {
            earlier.LookAgain();
        }

        Sources[operationId] = source;
        return source;
    }

    private async Task ObserveAsync(Task task)
    {
        try
        {
            await task;
        }
        catch (Exception error) when (error is not InvariantException)
        {
            Cluster.Fail("R7", $"the agent of {Host.Id} met an error that nobody handles: {error}");
        }
    }
}
