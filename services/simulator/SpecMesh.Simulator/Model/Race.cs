using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Model;

/// <summary>What replicas do while they live: boot a machine, or carry one from host to host.</summary>
public interface IReplicaWork
{
    /// <summary>Begins a replica on a server that is healthy now, and plans its next event.</summary>
    void Begin(int replica);

    /// <summary>Whether a server takes no replicas for another reason than a failure; to the manager it looks the same.</summary>
    bool Refuses(int server);

    /// <summary>Seconds until a replica that was started on a failed server returns its error.</summary>
    double ErrorSeconds(int replica);

    /// <summary>Ends a replica's work, whatever it had come to; its next event is stale from here on.</summary>
    void End(int replica);
}

/// <summary>Who asked for the operations.</summary>
public interface IOperationOwner
{
    /// <summary>The operation's one winner; all other replicas are gone. The operation's place is free for another one after this call.</summary>
    void Won(int operation, int winner);

    /// <summary>No replica is left, and the manager does not retry. The operation's place is free for another one after this call.</summary>
    void Lost(int operation);

    /// <summary>A replica ended because its host failed it, or it won: what an estimate of failure rates may learn from.</summary>
    void Learned(int server, bool failed);
}

/// <summary>Operations and their replicas: the managers of <see cref="ManagerKind"/> over any <see cref="IReplicaWork"/>. Places are used again, so that nothing is allocated per operation.</summary>
public sealed class Race
{
    /// <summary>Most replicas of an operation.</summary>
    public const int MostReplicas = 16;

    private readonly EventQueue queue;
    private readonly FaultInjector faults;
    private readonly Conduct conduct;
    private readonly ReplicaTable replicas;
    private Operation[] operations = new Operation[256];
    private int[] targets = new int[256 * MostReplicas];
    private int freeOperation = -1;
    private IReplicaWork work = null!;
    private IOperationOwner owner = null!;

    /// <param name="queue">The events to come.</param>
    /// <param name="faults">Which servers are failed.</param>
    /// <param name="conduct">How operations are run.</param>
    /// <param name="servers">Servers of the cluster.</param>
    public Race(EventQueue queue, FaultInjector faults, Conduct conduct, int servers)
    {
        this.queue = queue;
        this.faults = faults;
        this.conduct = conduct;
        replicas = new ReplicaTable(servers);
    }

    /// <summary>Operations that are open.</summary>
    public int OpenOperations { get; private set; }

    /// <summary>Places of operations that were ever used: open ones are among them.</summary>
    public int OperationPlaces { get; private set; }

    /// <summary>Operations that were opened.</summary>
    public long Opened { get; private set; }

    /// <summary>Replicas that were started.</summary>
    public long Started { get; private set; }

    /// <summary>Operations that had a winner.</summary>
    public long Winners { get; private set; }

    /// <summary>Operations that ended without one.</summary>
    public long Losses { get; private set; }

    /// <summary>Says who does the work, and who hears of the outcome.</summary>
    public void Connect(IReplicaWork worker, IOperationOwner asker) => (work, owner) = (worker, asker);

    /// <summary>An operation.</summary>
    public ref Operation OperationAt(int operation) => ref operations[operation];

    /// <summary>A replica.</summary>
    public ref Replica ReplicaAt(int replica) => ref replicas.At(replica);

    /// <summary>The targets of an operation, in the order in which they start.</summary>
    public ReadOnlySpan<int> TargetsOf(int operation) => targets.AsSpan(operation * MostReplicas, operations[operation].Planned);

    /// <summary>Opens an operation and starts its first replicas.</summary>
    /// <param name="subject">The machine, or the launch.</param>
    /// <param name="draw">Number of the try, which random numbers are drawn by: equal for all policies.</param>
    /// <param name="source">The server that has the machine; -1: none.</param>
    /// <param name="hosts">Different servers, the first to start first.</param>
    /// <param name="deadlineNs">The manager starts nothing at or after this.</param>
    /// <param name="counted">Whether it falls into the time that results are taken from.</param>
    public int Open(int subject, uint draw, int source, ReadOnlySpan<int> hosts, long deadlineNs, bool counted)
    {
        int operation = freeOperation;
        if (operation >= 0)
        {
            freeOperation = operations[operation].Subject;
        }
        else
        {
            operation = OperationPlaces++;
            if (operation == operations.Length)
            {
                Array.Resize(ref operations, operation * 2);
                Array.Resize(ref targets, operation * 2 * MostReplicas);
            }
        }

        hosts.CopyTo(targets.AsSpan(operation * MostReplicas));
        ref Operation opened = ref operations[operation];
        opened = new Operation
        {
            Subject = subject,
            Draw = draw,
            Source = source,
            Planned = (byte)hosts.Length,
            StartNs = queue.NowNs,
            DeadlineNs = deadlineNs,
            FirstReplica = -1,
            Owner = -1,
            IsOpen = true,
            Counted = counted,
        };
        OpenOperations++;
        Opened++;
        int first = conduct.Kind == ManagerKind.AllAtOnce ? hosts.Length : 1;
        for (int number = 0; number < first; number++)
        {
            Start(operation, hosts[number]);
        }

        PlanHedge(operation);
        return operation;
    }

    /// <summary>The first replica that needs only to finish: the others are aborted, and nobody else can win.</summary>
    public void TakeGate(int replica)
    {
        ref Replica candidate = ref replicas.At(replica);
        operations[candidate.Operation].Owner = replica;
        AbortAll(candidate.Operation, replica);
    }

    /// <summary>A replica has finished: it wins.</summary>
    public void Win(int replica)
    {
        int operation = replicas.At(replica).Operation;
        int server = replicas.At(replica).Server;
        operations[operation].Owner = replica;
        AbortAll(operation, replica);
        owner.Learned(server, failed: false);
        Close(operation, replica);
    }

    /// <summary>A fault ended a replica. When it was the last one, or held the gate, the manager says how to go on.</summary>
    public void Fail(int replica)
    {
        int operation = replicas.At(replica).Operation;
        int server = replicas.At(replica).Server;
        bool heldGate = operations[operation].Owner == replica;
        Remove(replica);
        if (!IsSourceFailed(operations[operation]))
        {
            owner.Learned(server, failed: true);
        }

        ref Operation lost = ref operations[operation];
        if (heldGate)
        {
            Close(operation, winner: -1);
        }
        else if (lost.Live == 0)
        {
            React(operation, ref lost);
        }
    }

    /// <summary>Ends an operation that has not come to an end by itself: it has failed.</summary>
    public void GiveUp(int operation)
    {
        AbortAll(operation, except: -1);
        Close(operation, winner: -1);
    }

    /// <summary>A policy ends one replica.</summary>
    public void Abort(int replica)
    {
        int operation = replicas.At(replica).Operation;
        Remove(replica);
        if (operations[operation].Live == 0)
        {
            React(operation, ref operations[operation]);
        }
    }

    /// <summary>Whether an event still is the one that its replica waits for.</summary>
    public bool IsCurrent(in SimEvent happened)
    {
        ref Replica replica = ref replicas.At((int)happened.Entity);
        return replica.Phase != ReplicaPhase.None && replica.Event == happened.Sequence;
    }

    /// <summary>The clock of an operation: a retry or a hedge.</summary>
    public void TimerDue(in SimEvent happened)
    {
        int operation = (int)happened.Entity;
        ref Operation open = ref operations[operation];
        if (!open.IsOpen || open.Timer != happened.Sequence)
        {
            return;
        }

        if (conduct.Kind == ManagerKind.RetrySameServer && queue.NowNs >= open.DeadlineNs)
        {
            Close(operation, winner: -1);
        }
        else if (conduct.Kind == ManagerKind.RetrySameServer)
        {
            Start(operation, targets[operation * MostReplicas]);
        }
        else if (open.Owner < 0 && conduct.IsHedgeDue(open, queue.NowNs))
        {
            Start(operation, targets[(operation * MostReplicas) + open.Started]);
            PlanHedge(operation);
        }
    }

    /// <summary>A server has failed: every replica that works on it fails.</summary>
    public void FailServer(int server)
    {
        // Failing one may end others on this server too, so the list is read from its head each time.
        while (replicas.FirstOnServer(server) >= 0)
        {
            Fail(replicas.FirstOnServer(server));
        }
    }

    /// <summary>The replicas that work on a server now, as the first of a list by <see cref="Replica.NextOnServer"/>; -1: none.</summary>
    public int FirstOnServer(int server) => replicas.FirstOnServer(server);

    private bool IsSourceFailed(in Operation operation) => conduct.SourceFailures && operation.Source >= 0 && faults.IsFailed(operation.Source);

    private void React(int operation, ref Operation lost)
    {
        if (conduct.IsHedgeDue(lost, queue.NowNs))
        {
            Start(operation, targets[(operation * MostReplicas) + lost.Started]);
            PlanHedge(operation);
        }
        else if (conduct.Kind == ManagerKind.RetrySameServer && conduct.PauseNs(lost.Started) is { } pauseNs)
        {
            // A manager that has no time for another attempt still waits for the end of the invocation: only then does its algorithm run anew.
            long againNs = Math.Min(queue.NowNs + pauseNs, lost.DeadlineNs);
            lost.Timer = queue.Push(Math.Max(queue.NowNs, againNs), EventKind.OperationTimer, (uint)operation);
        }
        else
        {
            Close(operation, winner: -1);
        }
    }

    private void PlanHedge(int operation)
    {
        ref Operation open = ref operations[operation];
        if (conduct.Kind == ManagerKind.Hedged && open.Started < open.Planned)
        {
            open.Timer = queue.Push(conduct.HedgeNs(open), EventKind.OperationTimer, (uint)operation);
        }
    }

    private void Start(int operation, int server)
    {
        ref Operation open = ref operations[operation];
        bool refused = faults.IsFailed(server) || work.Refuses(server) || IsSourceFailed(open);
        int place = replicas.Add(operation, ref open, server, refused ? ReplicaPhase.Refused : ReplicaPhase.Working, queue.NowNs);
        Started++;
        if (refused)
        {
            replicas.At(place).Event = queue.Push(queue.NowNs + SimTime.FromSeconds(work.ErrorSeconds(place)), EventKind.ReplicaError, (uint)place);
            return;
        }

        work.Begin(place);
    }

    private void Close(int operation, int winner)
    {
        ref Operation closed = ref operations[operation];
        closed.IsOpen = false;
        OpenOperations--;
        if (winner >= 0)
        {
            Winners++;
            // The winner's work is over, but what it has come to is what its owner asks for.
            work.End(winner);
            owner.Won(operation, winner);
            replicas.Remove(winner, ref operations[operation]);
        }
        else
        {
            Losses++;
            owner.Lost(operation);
        }

        operations[operation].Subject = freeOperation;
        freeOperation = operation;
    }

    private void AbortAll(int operation, int except)
    {
        int replica = operations[operation].FirstReplica;
        while (replica >= 0)
        {
            int next = replicas.At(replica).NextOfOperation;
            if (replica != except)
            {
                Remove(replica);
            }

            replica = next;
        }
    }

    private void Remove(int replica)
    {
        if (replicas.At(replica).Phase != ReplicaPhase.Refused)
        {
            work.End(replica);
        }

        replicas.Remove(replica, ref operations[replicas.At(replica).Operation]);
    }
}
