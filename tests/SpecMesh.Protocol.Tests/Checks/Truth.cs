using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Protocol.Tests.Hosts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests.Checks;

/// <summary>
/// Sees everything at once, as nobody in the cluster can: every guest and every event. Each change of a guest and each commit is held against R1 to R6 before it counts.
/// </summary>
internal sealed class Truth(Cluster cluster)
{
    private readonly Dictionary<string, Machine> machines = new(StringComparer.Ordinal);
    private readonly Dictionary<Guid, SpecOpPhase> operations = [];
    private readonly HashSet<(Guid, int)> deadShells = [];
    private readonly HashSet<string> fenced = [];

    /// <summary>Every operation that has events.</summary>
    public IReadOnlyDictionary<Guid, SpecOpPhase> Operations => operations;

    /// <summary>Every machine that has events.</summary>
    public IEnumerable<OwnershipView> Views => machines.Values.Where(machine => machine.View.Version > 0).Select(machine => machine.View);

    /// <summary>What the event stream of a machine says.</summary>
    public OwnershipView ViewOf(string vmId) => Of(vmId).View;

    /// <summary>True once a host's death was confirmed, until it is in service again.</summary>
    public bool IsFenced(string hostId) => fenced.Contains(hostId);

    /// <summary>True when this guest is the machine as its event stream has it.</summary>
    public bool IsOwners(Guest guest)
    {
        OwnershipView view = Of(guest.VmId).View;
        return view.OwnerHostId == guest.Host.Id && view.OwnerOperationId == guest.OperationId && view.OwnerReplica == guest.Replica;
    }

    /// <summary>Events have become durable.</summary>
    public void Committed(IReadOnlyList<StoredEvent> events)
    {
        foreach (StoredEvent stored in events)
        {
            cluster.Coverage.Saw(stored.Data);
            if (stored.StreamId.StartsWith(EventStreams.VmPrefix, StringComparison.Ordinal))
            {
                Machine machine = Of(stored.StreamId[EventStreams.VmPrefix.Length..]);
                machine.View = OwnershipDecider.Evolve(machine.View, stored.Data);
                cluster.Trace?.Note($"{stored.StreamId} v{machine.View.Version}: {stored.Data}");
                if (stored.Data is TransferRefused { ByOwner: true } && machine.View.Recovery is null)
                {
                    // A refusal that the source had sent before its host was lost has arrived before the fence. Whether the source had heard of it, and gone on, nobody can know.
                    machine.Saviours = [];
                }

                if (stored.Data is OwnershipTransferred transferred)
                {
                    Transferred(machine, transferred);
                }
            }
            else if (stored.StreamId.StartsWith(EventStreams.OperationPrefix, StringComparison.Ordinal))
            {
                Follow(stored.Data);
                cluster.Trace?.Note($"{stored.StreamId[..15]} v{stored.Version}: {stored.Data}");
            }
            else
            {
                FollowHost(stored.Data);
                cluster.Trace?.Note($"{stored.StreamId} v{stored.Version}: {stored.Data}");
            }
        }
    }

    /// <summary>A guest is about to go over into another state; null: it is about to be gone.</summary>
    public void Changing(Guest guest, GuestState? next)
    {
        Machine machine = Of(guest.VmId);
        cluster.Trace?.Note($"{guest.Host.Id}: {guest.VmId} of replica {guest.Replica} goes from {guest.State} to {next?.ToString() ?? "nothing"}");
        if (next == GuestState.Running)
        {
            if (machine.Running is { } other && other != guest)
            {
                cluster.Fail("R1", $"{guest.VmId} begins to run on {guest.Host.Id} while it runs on {other.Host.Id}");
            }

            if (!IsOwners(guest))
            {
                cluster.Fail(
                    guest.State == GuestState.Paused ? "R2" : "R5",
                    $"{guest.VmId} goes on on {guest.Host.Id} as replica {guest.Replica}, and the owner is {machine.View.OwnerHostId ?? "nobody"} by replica {machine.View.OwnerReplica}");
            }

            (machine.Running, machine.LastRunner) = (guest, guest);
            return;
        }

        if (machine.Running == guest)
        {
            machine.Running = null;
        }

        if (next is null)
        {
            Ending(machine, guest);
        }
    }

    /// <summary>A target starts its guest. R2: by its own commit. R3: with the memory that was suspended.</summary>
    public void Starting(TargetSide side, KeptImage? image)
    {
        Machine machine = Of(side.VmId);
        Guest shell = side.Shell!;
        if (!IsOwners(shell))
        {
            cluster.Fail("R2", $"{side.Agent.Host.Id} starts {side.VmId} without a commit of its own that is the latest decision");
        }

        if (shell.PoweredOn)
        {
            return;
        }

        if (image is null || image.Digest != machine.Last!.Digest || image.Incarnation != machine.Last.Incarnation)
        {
            cluster.Fail("R3", $"{side.Agent.Host.Id} starts {side.VmId} with the image {image?.Incarnation}/{image?.Digest}, and committed {machine.Last!.Incarnation}/{machine.Last.Digest}");
        }

        if (machine.LastRunner is not { } before || !shell.Pages.AsSpan().SequenceEqual(before.Pages))
        {
            cluster.Fail("R3", $"{side.Agent.Host.Id} starts {side.VmId} with another memory than the one that was suspended");
        }
    }

    /// <summary>A source has written its vote down: never twice at one version.</summary>
    public void Voted(SourceSide side, JournaledVote vote)
    {
        if (!Of(side.VmId).Votes.Add(vote.OwnershipVersion))
        {
            cluster.Fail("R1", $"{side.Agent.Host.Id} votes for {side.VmId} twice at version {vote.OwnershipVersion}");
        }
    }

    /// <summary>A guest ends by a fault.</summary>
    public void Dying(Guest guest)
    {
        deadShells.Add((guest.OperationId, guest.Replica));
        Of(guest.VmId).Died |= IsOwners(guest);
    }

    /// <summary>A host is lost. R6: what a target holds complete of a machine that stood still there is the machine now.</summary>
    public void Losing(SimulatedHost host)
    {
        foreach (Guest guest in host.Guests)
        {
            bool isOwners = IsOwners(guest);
            Dying(guest);
            if (isOwners)
            {
                Machine machine = Of(guest.VmId);
                machine.Saviours = [.. cluster.Hosts.Where(other => other != host).SelectMany(other => other.Guests).Where(shell => HoldsMachine(shell, machine))];
                cluster.Trace?.Note($"{guest.VmId} is lost with {host.Id}; {machine.Saviours.Count} targets hold it complete");
            }
        }
    }

    private bool HoldsMachine(Guest shell, Machine machine)
    {
        KeptImage? image = shell.Host.Journal.ReadImage(shell.OperationId, shell.Replica);
        bool isOver = shell.Host.Agent?.Targets.GetValueOrDefault((shell.OperationId, shell.Replica)) is { Phase: TargetPhase.Destroying };
        return !isOver && shell.VmId == machine.View.VmId && shell.State == GuestState.Paused && image is not null && !shell.PoweredOn
            && !OwnershipDecider.IsVoid(machine.View, shell.Epoch, image.OwnershipVersion);
    }

    private void FollowHost(object @event)
    {
        switch (@event)
        {
            case HostFenced death: fenced.Add(death.HostId); break;
            case HostMaintenanceChanged { InMaintenance: false } change: fenced.Remove(change.HostId); break;
        }
    }

    private void Transferred(Machine machine, OwnershipTransferred transferred)
    {
        machine.Last = transferred;
        machine.Saviours = [];
        machine.Died = deadShells.Contains((transferred.OperationId, transferred.Replica));
        SimulatedHost host = cluster.HostOf(transferred.HostId);
        bool isThere = host.Guests.Exists(guest => guest.OperationId == transferred.OperationId && guest.Replica == transferred.Replica);
        if (!isThere && !machine.Died)
        {
            cluster.Fail("R6", $"{transferred.HostId} becomes the owner of {transferred.VmId} and has no memory of it");
        }
    }

    private void Ending(Machine machine, Guest guest)
    {
        bool wasOne = machine.Saviours.Remove(guest);
        if (wasOne && machine.Saviours.Count == 0 && !deadShells.Contains((guest.OperationId, guest.Replica)) && machine.View.OwnerHostId is not null)
        {
            cluster.Fail("R6", $"{guest.Host.Id} destroys the last complete image of {guest.VmId}, whose host is lost");
        }

        if (IsOwners(guest) && !machine.Died)
        {
            cluster.Fail(machine.LastRunner == guest ? "R4" : "R6", $"{guest.Host.Id} destroys {guest.VmId}, which it owns");
        }
    }

    private void Follow(object @event)
    {
        switch (@event)
        {
            case SpecOpAccepted accepted: operations[accepted.OperationId] = SpecOpPhase.Racing; break;
            case SpecOpRefused refused: operations[refused.OperationId] = SpecOpPhase.Refused; break;
            case SpecOpCompleted completed:
                operations[completed.OperationId] = SpecOpPhase.Completed;
                cluster.Coverage.Saw(completed.Outcome);
                break;
            case SpecOpSettled settled: operations[settled.OperationId] = SpecOpPhase.Settled; break;
        }
    }

    private Machine Of(string vmId)
    {
        if (!machines.TryGetValue(vmId, out Machine? machine))
        {
            machines.Add(vmId, machine = new Machine { View = OwnershipDecider.Unknown(vmId) });
        }

        return machine;
    }

    private sealed class Machine
    {
        public required OwnershipView View { get; set; }

        public OwnershipTransferred? Last { get; set; }

        public Guest? Running { get; set; }

        public Guest? LastRunner { get; set; }

        public bool Died { get; set; }

        /// <summary>Shells that hold the machine complete after its host was lost.</summary>
        public List<Guest> Saviours { get; set; } = [];

        public HashSet<long> Votes { get; } = [];
    }
}
