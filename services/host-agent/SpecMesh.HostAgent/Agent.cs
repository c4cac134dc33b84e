using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hosting;
using SpecMesh.Hypervisors;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>
/// One host's agent: the guests that its host owns, the operations that it is the source of, and the replicas that it is the target of. Commands reach it through the files
/// named after them. Guests are told apart by their handles, never by the machine alone: a machine may leave and return while its past is still being cleaned up.
/// </summary>
public sealed class Agent : IAsyncDisposable
{
    private static readonly TimeSpan PublishLimit = TimeSpan.FromSeconds(2);
    private readonly ConcurrentDictionary<IGuest, bool> guests = new();
    private readonly ConcurrentDictionary<Guid, SourceOperation> sources = new();
    private readonly ConcurrentDictionary<(Guid, int), TargetReplica> targets = new();
    private readonly ConcurrentDictionary<IAsyncDisposable, bool> closing = new();
    private readonly ConditionalWeakTable<IGuest, SemaphoreSlim> dirtyLogs = [];
    private readonly Latest<(Guid, int), bool> endedReplicas = new(10_000);
    private readonly Latest<Guid, SourceReleased> released = new(1_000);
    private readonly Lock gate = new();
    private readonly MessageBus bus;
    private readonly FaultPoints? faultPoints;
    private bool disposed;

    public Agent(
        HostAgentOptions options, IHypervisor hypervisor, IOwnershipLog ownershipLog, MessageBus bus, TimeProvider time, ILogger<Agent> logger, FaultPoints? faultPoints = null)
    {
        Options = options;
        Hypervisor = hypervisor;
        OwnershipLog = ownershipLog;
        Time = time;
        Logger = logger;
        this.bus = bus;
        this.faultPoints = faultPoints;
        Faults = new Faults(time);
        Reports = new Reports(bus, time, logger);
        Journal = new Journal(options.StateDirectory);
        Reconciler = new Reconciler(this);
        Listener = MigrationListener.Start(
            new MigrationListenerOptions { Endpoint = options.DataEndpoint, Refused = (peer, error) => logger.StreamRefused(peer?.ToString(), error.Message) }, time);
        DataEndpoint = (options.AdvertisedDataEndpoint ?? Listener.Endpoint).ToString();
    }

    public HostAgentOptions Options { get; }

    /// <summary>Where sources connect to for migration streams.</summary>
    public string DataEndpoint { get; }

    /// <summary>What the hypervisor can do; null until the self-test is over.</summary>
    public HypervisorCapabilities? Capabilities { get; internal set; }

    internal IHypervisor Hypervisor { get; }

    internal IOwnershipLog OwnershipLog { get; }

    internal TimeProvider Time { get; }

    internal ILogger Logger { get; }

    internal Reports Reports { get; }

    internal Journal Journal { get; }

    internal Reconciler Reconciler { get; }

    internal MigrationListener Listener { get; }

    internal Faults Faults { get; }

    /// <summary>The guests on this host: owned ones, shells, and those that wait for a word of the event stream.</summary>
    public IReadOnlyList<HostedGuest> Guests =>
    [
        .. guests.Keys.Select(Describe).OfType<HostedGuest>(),
        .. targets.Values.Where(replica => !HasWon(replica.Command.OperationId, replica.Command.Replica)).Select(replica => new HostedGuest(
            replica.VmId, GuestState.Paused, replica.Command.Vm.MemoryBytes, replica.OperationId, replica.Command.Replica)),
    ];

    /// <summary>Operations and replicas that this agent still has something to do for.</summary>
    internal int Busy => sources.Count + targets.Count + closing.Count;

    /// <summary>The guest of a machine that this host owns: the one of the latest epoch, where an earlier one is still being destroyed.</summary>
    public IGuest? Owned(string vmId) =>
        guests.Where(pair => pair.Value && pair.Key.Tag.VmId == vmId && pair.Key.State is not null).Select(pair => pair.Key).MaxBy(guest => guest.Tag.Epoch);

    /// <summary>Guests that live here because the event stream has said so.</summary>
    internal IReadOnlyList<IGuest> OwnedGuests => [.. guests.Where(pair => pair.Value && pair.Key.State is not null).Select(pair => pair.Key)];

    /// <summary>True while an operation of the machine is under way on this host.</summary>
    internal bool IsBusyWith(string vmId) => sources.Values.Any(source => source.VmId == vmId) || targets.Values.Any(target => target.VmId == vmId);

    /// <summary>True when any guest of the machine is here, also one that waits for a word of the event stream.</summary>
    internal bool HasGuestOf(string vmId) => guests.Keys.Any(guest => guest.Tag.VmId == vmId && guest.State is not null);

    /// <summary>The target's side of a replica, made when it is new; null when the replica is or was here.</summary>
    internal TargetReplica? StartTarget(StartReplica command)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            // What an earlier agent has built is known by its guest alone. Built once more, a winner would find its commit made, and run the machine a second time.
            bool isHere = guests.Keys.Any(guest => guest.Tag.OperationId == command.OperationId && guest.Tag.Replica == command.Replica);
            if (isHere || HasEnded(command.OperationId, command.Replica) || targets.ContainsKey((command.OperationId, command.Replica)))
            {
                return null;
            }

            TargetReplica replica = new(this, command);
            targets[(command.OperationId, command.Replica)] = replica;
            return replica;
        }
    }

    /// <summary>The target's side of a replica whose shell an earlier agent has left.</summary>
    internal void TakeOver(TargetReplica replica, Action<TargetReplica> begin)
    {
        lock (gate)
        {
            targets[(replica.OperationId, replica.Command.Replica)] = replica;
            begin(replica);
        }
    }

    internal TargetReplica? Target(Guid operationId, int replica) => targets.GetValueOrDefault((operationId, replica));

    internal SourceOperation? Source(Guid operationId) => sources.GetValueOrDefault(operationId);

    /// <summary>The source's side of an operation, made when it is new.</summary>
    internal SourceOperation SourceOf(Guid operationId, string vmId, int epoch, long ownershipVersion)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            if (sources.TryGetValue(operationId, out SourceOperation? source))
            {
                return source;
            }

            source = new SourceOperation(this, new SourceState(operationId, vmId, Options.HostId, epoch, ownershipVersion), Owned(vmId));
            foreach (SourceOperation earlier in sources.Values.Where(other => other.VmId == vmId))
            {
                // It holds the guest's dirty log, and has perhaps not heard yet that it is over.
                earlier.LookAgain();
            }

            sources[operationId] = source;
            return source;
        }
    }

    /// <summary>True when the replica has ended here and must never start again.</summary>
    internal bool HasEnded(Guid operationId, int replica) => endedReplicas.TryGet((operationId, replica), out _);

    /// <summary>A replica that this host must never start again.</summary>
    internal void MarkEnded(Guid operationId, int replica) => endedReplicas.Add((operationId, replica), true);

    /// <summary>What the source of an operation said when it let go; null when it has not, or long ago.</summary>
    internal SourceReleased? ReleasedBefore(Guid operationId) => released.TryGet(operationId, out SourceReleased? said) ? said : null;

    /// <summary>Reports to the operation. What a source says in the end is kept, because only the first word of it counts and may have to be repeated.</summary>
    internal void Tell(object message, int epoch)
    {
        if (message is SourceReleased said)
        {
            released.Add(said.OperationId, said);
        }

        Reports.Tell(message, epoch);
    }

    internal void Forget(SourceOperation source)
    {
        sources.TryRemove(source.OperationId, out _);
        Close(source);
    }

    internal void Forget(TargetReplica replica)
    {
        MarkEnded(replica.OperationId, replica.Command.Replica);
        targets.TryRemove((replica.OperationId, replica.Command.Replica), out _);
        Close(replica);
    }

    /// <summary>The right to a guest's one dirty log.</summary>
    internal SemaphoreSlim DirtyLogOf(IGuest guest) => dirtyLogs.GetValue(guest, _ => new SemaphoreSlim(1, 1));

    /// <summary>The guest runs here because the event stream says so.</summary>
    internal void GuestOwned(IGuest guest)
    {
        guests[guest] = true;
        guest.Exited.ContinueWith(_ => CleanUpAsync(guest), TaskScheduler.Default);
    }

    /// <summary>The guest is left as it is until the event stream says more. It counts as a guest of the host, and no command reaches it.</summary>
    internal void GuestKept(IGuest guest) => guests.TryAdd(guest, false);

    internal void GuestGone(IGuest guest) => guests.TryRemove(guest, out _);

    internal bool Owns(IGuest guest) => guests.ContainsKey(guest);

    /// <summary>True when a guest that lives here came by this replica's commit.</summary>
    internal bool HasWon(Guid operationId, int replica) => guests.Any(pair => pair.Value && pair.Key.Tag.OperationId == operationId && pair.Key.Tag.Replica == replica);

    /// <summary>The time that one ownership call has.</summary>
    internal static CancellationTokenSource LimitCall(CancellationToken cancellationToken)
    {
        CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(IOwnershipLog.CallLimit);
        return limit;
    }

    /// <summary>A named step of the protocol; a test may stop the agent there.</summary>
    internal Task ReachAsync(string point, Guid operationId, CancellationToken cancellationToken) =>
        faultPoints?.ReachAsync(Options.HostId, point, operationId, cancellationToken) ?? Task.CompletedTask;

    /// <summary>As <see cref="ReachAsync"/>, on a thread that does nothing else meanwhile.</summary>
    internal void Reach(string point, Guid operationId) => faultPoints?.Reach(Options.HostId, point, operationId);

    /// <summary>Clears a vote. One that cannot be cleared is logged: an entry that the event stream has moved past decides nothing.</summary>
    internal void TryClearVote(string vmId, Guid operationId) => TryClear(() => Journal.ClearVote(vmId, operationId));

    /// <summary>Clears an image. One that cannot be cleared is logged: an image without a shell decides nothing.</summary>
    internal void TryClearImage(Guid operationId, int replica) => TryClear(() => Journal.ClearImage(operationId, replica));

    /// <summary>Publishes what may be lost: progress and heartbeats. What the broker does not take within two seconds is dropped, so that nothing piles up.</summary>
    internal void Publish(object message) => _ = Task.Run(async () =>
    {
        try
        {
            using CancellationTokenSource limit = new(PublishLimit, Time);
            await bus.PublishAsync(message, limit.Token);
        }
        catch (Exception error)
        {
            Logger.PublishFailed(message.GetType().Name, error.Message);
        }
    });

    /// <summary>Lets go of everything. Guests stay; one that stands still for a migration without a vote goes on. A second call does nothing.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (gate)
        {
            if (disposed)
            {
                return;
            }

            disposed = true;
        }

        await Task.WhenAll(((IEnumerable<IAsyncDisposable>)[.. sources.Values, .. targets.Values, .. closing.Keys]).Select(shell => shell.DisposeAsync().AsTask()));
        await Listener.DisposeAsync();
        foreach (IGuest guest in guests.Keys)
        {
            await guest.DisposeAsync();
        }

        Journal.Dispose();
    }

    /// <summary>From within the shell's own mailbox: the mailbox ends after this step, so it cannot be waited for here.</summary>
    private void Close(IAsyncDisposable shell)
    {
        closing[shell] = true;
        _ = Task.Run(async () =>
        {
            await shell.DisposeAsync();
            closing.TryRemove(shell, out _);
        });
    }

    private void TryClear(Action clear)
    {
        try
        {
            clear();
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            Logger.JournalNotCleared(error);
        }
    }

    /// <summary>A guest that ended leaves its record and its mapped memory behind.</summary>
    private async Task CleanUpAsync(IGuest guest)
    {
        if (!guests.TryRemove(guest, out _))
        {
            // It was destroyed on purpose, or is being.
            return;
        }

        Logger.GuestLost(guest.Tag.VmId);
        Reconciler.SawEnd(guest.Tag);
        try
        {
            await guest.DestroyAsync(CancellationToken.None);
        }
        catch (Exception error) when (error is HypervisorException or ObjectDisposedException)
        {
            Logger.LeftBehind(guest.Tag.VmId, error);
        }

        Reconciler.Soon();
    }

    private static HostedGuest? Describe(IGuest guest)
    {
        try
        {
            return guest.State is { } state
                ? new HostedGuest(guest.Tag.VmId, state, guest.MemoryBytes, guest.Tag.OperationId, guest.Tag.Replica)
                : null;
        }
        catch (ObjectDisposedException)
        {
            // Destroyed between the two looks.
            return null;
        }
    }
}
