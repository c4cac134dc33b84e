using SpecMesh.Simulator.Engine;
using SpecMesh.Speculation.Costs;

namespace SpecMesh.Simulator.Model;

/// <summary>How machines are carried from server to server.</summary>
/// <param name="Limits">When pre-copy ends.</param>
/// <param name="WorkingSetShare">The part of its memory that a guest writes to.</param>
/// <param name="ErrorMinSeconds">Shortest time until a failed target's error.</param>
/// <param name="ErrorMaxSeconds">Longest time until a failed target's error.</param>
public sealed record MigrationModel(PreCopyLimits Limits, double WorkingSetShare, double ErrorMinSeconds, double ErrorMaxSeconds);

/// <summary>Replicas of live migrations: rounds of pre-copy, each stream with rounds of its own, and the gate that lets one of them suspend the guest.</summary>
public sealed class Migrations : IReplicaWork, IFlowOwner
{
    private const uint ErrorPurpose = 3;

    private readonly EventQueue queue;
    private readonly Race race;
    private readonly Network network;
    private readonly Fleet fleet;
    private readonly MigrationModel model;
    private readonly RandomStream errors;
    private Stream[] streams = new Stream[1024];

    /// <param name="queue">The events to come.</param>
    /// <param name="race">Whose replicas they are.</param>
    /// <param name="network">What they are sent over.</param>
    /// <param name="fleet">The machines.</param>
    /// <param name="model">How they are carried.</param>
    /// <param name="seed">Seed of the run.</param>
    public Migrations(EventQueue queue, Race race, Network network, Fleet fleet, MigrationModel model, ulong seed)
    {
        this.queue = queue;
        this.race = race;
        this.network = network;
        this.fleet = fleet;
        this.model = model;
        errors = new(seed, ErrorPurpose);
        network.Connect(this);
    }

    /// <summary>What an operation's machine sends when nothing else is on the network.</summary>
    public double UncontendedBytes(int vm)
    {
        double memory = fleet.MemoryBytes(vm);
        return PreCopy.Uncontended(model.Limits, memory, memory * model.WorkingSetShare, fleet.DirtyBytesPerSecond(vm), network.StreamBytesPerSecond).Bytes;
    }

    /// <summary>What all replicas that have ended have sent.</summary>
    public double EndedBytes { get; private set; }

    /// <summary>What a replica that has ended has sent.</summary>
    public double SentBytes(int replica) => streams[replica].SentBytes;

    /// <summary>Servers that take no replicas now.</summary>
    public Func<int, bool>? RefusingServers { get; init; }

    /// <summary>Who judges what they cost; null: nobody.</summary>
    public MigrationCosts? Costs { get; init; }

    /// <summary>How far a replica is now.</summary>
    public ReplicaStanding StandingOf(int replica)
    {
        ref Flow flow = ref network.FlowAt(replica);
        ref Stream stream = ref streams[replica];
        double sinceSettled = Math.Min(flow.LeftBytes, flow.BytesPerSecond * SimTime.ToSeconds(queue.NowNs - flow.SettledNs));
        double pending = PreCopy.DirtiedBytes(model.Limits, stream.MemoryBytes * model.WorkingSetShare, stream.DirtyBytesPerSecond, SimTime.ToSeconds(queue.NowNs - stream.RoundStartNs));
        return new ReplicaStanding(
            SimTime.ToSeconds(queue.NowNs - race.ReplicaAt(replica).StartNs), (long)(flow.SentBytes + sinceSettled), 0, (long)(flow.LeftBytes - sinceSettled + pending), flow.BytesPerSecond > 0 ? flow.BytesPerSecond : null);
    }

    /// <summary>Rate at which a replica's guest dirties its memory.</summary>
    public double DirtyBytesPerSecond(int replica) => streams[replica].DirtyBytesPerSecond;

    /// <inheritdoc/>
    public bool Refuses(int server) => RefusingServers is not null && RefusingServers(server);

    /// <inheritdoc/>
    public void Begin(int replica)
    {
        while (replica >= streams.Length)
        {
            Array.Resize(ref streams, streams.Length * 2);
        }

        ref Replica begun = ref race.ReplicaAt(replica);
        ref Operation operation = ref race.OperationAt(begun.Operation);
        double memory = fleet.MemoryBytes(operation.Subject);
        streams[replica] = new Stream { MemoryBytes = memory, DirtyBytesPerSecond = fleet.DirtyBytesPerSecond(operation.Subject), RoundStartNs = queue.NowNs };
        network.Begin(replica, operation.Source, begun.Server, memory);
        Costs?.Begin(replica, begun.Operation, memory);
    }

    /// <inheritdoc/>
    public double ErrorSeconds(int replica)
    {
        ref Replica refused = ref race.ReplicaAt(replica);
        ref Operation operation = ref race.OperationAt(refused.Operation);
        return errors.Uniform(model.ErrorMinSeconds, model.ErrorMaxSeconds, (uint)operation.Subject, operation.Draw, refused.Number);
    }

    /// <inheritdoc/>
    public void End(int replica)
    {
        streams[replica].SentBytes = network.End(replica);
        EndedBytes += streams[replica].SentBytes;
        race.OperationAt(race.ReplicaAt(replica).Operation).SentBytes += streams[replica].SentBytes;
    }

    /// <inheritdoc/>
    public void RoundEndsAt(int flow, long timeNs) => race.ReplicaAt(flow).Event = queue.Push(timeNs, EventKind.RoundEnd, (uint)flow);

    /// <summary>A round has been sent: another one, or the guest is suspended for the rest, or the machine has arrived.</summary>
    public void RoundEnd(int replica)
    {
        ref Replica moving = ref race.ReplicaAt(replica);
        if (moving.Phase == ReplicaPhase.StopAndCopy)
        {
            network.Complete(replica);
            race.Win(replica);
            return;
        }

        ref Stream stream = ref streams[replica];
        double workingSet = stream.MemoryBytes * model.WorkingSetShare;
        double pending = PreCopy.DirtiedBytes(model.Limits, workingSet, stream.DirtyBytesPerSecond, SimTime.ToSeconds(queue.NowNs - stream.RoundStartNs));
        stream.Rounds++;
        Costs?.EndRound(replica, pending);
        stream.RoundStartNs = queue.NowNs;
        moving.Event = queue.Push(network.NextRound(replica, pending), EventKind.RoundEnd, (uint)replica);
        if (PreCopy.Stops(model.Limits, network.StreamBytesPerSecond, pending, stream.Rounds, network.FlowAt(replica).SentBytes, stream.MemoryBytes))
        {
            moving.Phase = ReplicaPhase.StopAndCopy;
            race.TakeGate(replica);
        }
    }

    private struct Stream
    {
        public double MemoryBytes, DirtyBytesPerSecond, SentBytes;
        public long RoundStartNs;
        public int Rounds;
    }
}
