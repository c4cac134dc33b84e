using System.Net;
using System.Text;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors;

namespace SpecMesh.HostAgent;

/// <summary>
/// The migration streams of one operation and the dirty log under them. A guest's dirty log has one consumer: an operation that comes while an earlier one of the same guest
/// still lets go waits for it.
/// </summary>
internal sealed class SourceStreams(Agent agent, IGuest? guest, CancellationToken ended) : IAsyncDisposable
{
    private readonly Dictionary<int, MigrationSender> senders = [];
    private readonly HashSet<int> closed = [];
    private readonly Lock gate = new();
    private readonly SemaphoreSlim opening = new(1, 1);
    private SemaphoreSlim? lease;
    private IDirtyLog? log;
    private DirtyLogOwner? dirty;
    private byte[] setup = [];

    /// <summary>The streams that are open, by replica.</summary>
    public IReadOnlyList<KeyValuePair<int, MigrationSender>> Open
    {
        get
        {
            lock (gate)
            {
                return [.. senders];
            }
        }
    }

    /// <summary>The stream of a replica; null when it is not open.</summary>
    public MigrationSender? Find(int replica)
    {
        lock (gate)
        {
            return senders.GetValueOrDefault(replica);
        }
    }

    /// <summary>Opens a replica's stream. False when the replica was closed meanwhile: then nothing of it is left.</summary>
    /// <exception cref="HypervisorException">The machine does not run here.</exception>
    /// <exception cref="MigrationException">The target cannot be reached or is not the right one.</exception>
    /// <exception cref="DirtyLogException">No dirty tracker works.</exception>
    /// <exception cref="FormatException">The endpoint is none.</exception>
    public async Task<bool> OpenAsync(ConnectReplica command)
    {
        if (guest?.State is null)
        {
            throw new HypervisorException($"{command.VmId} does not run on {agent.Options.HostId}.");
        }

        DirtyLogOwner owner = await OpenLogAsync(guest);
        ReplicaIdentity identity = new(new ReplicaKey(command.OperationId, command.Replica, command.Epoch), command.VmId, guest.MemoryBytes);
        byte[] token = ReplicaToken.Derive(Encoding.UTF8.GetBytes(agent.Options.ClusterKey), identity);
        MigrationSenderOptions options = new(IPEndPoint.Parse(command.DataEndpoint), identity, token, owner, guest.Memory, agent.Time) { Setup = setup, ReadState = guest.ReadState };
        MigrationSender sender = await MigrationSender.ConnectAsync(options, ended);
        lock (gate)
        {
            if (!closed.Contains(command.Replica))
            {
                senders[command.Replica] = sender;
                return true;
            }
        }

        await sender.DisposeAsync();
        return false;
    }

    /// <summary>The guest stands still.</summary>
    public void BeginSuspend(int incarnation) => dirty!.BeginSuspend(incarnation);

    /// <summary>The guest is about to run again.</summary>
    public void EndSuspend() => dirty?.EndSuspend();

    /// <summary>Harvests what the guest wrote before it stood still.</summary>
    public void FinalHarvest(int incarnation) => dirty!.FinalHarvest(incarnation);

    /// <summary>Ends a replica's stream, also one that is only being opened. The target is told why if that is possible at once.</summary>
    public async Task CloseAsync(int replica, string reason)
    {
        MigrationSender? sender;
        lock (gate)
        {
            closed.Add(replica);
            senders.Remove(replica, out sender);
        }

        if (sender is not null)
        {
            await sender.AbortAsync(reason);
            await sender.DisposeAsync();
        }
    }

    /// <summary>Closes every stream, and leaves the dirty log to the next operation. No stream is opened meanwhile.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach ((int _, MigrationSender sender) in Open)
        {
            await sender.DisposeAsync();
        }

        log?.Dispose();
        lease?.Release();
        opening.Dispose();
    }

    private async Task<DirtyLogOwner> OpenLogAsync(IGuest source)
    {
        await opening.WaitAsync(ended);
        try
        {
            if (lease is null)
            {
                SemaphoreSlim wanted = agent.DirtyLogOf(source);
                await wanted.WaitAsync(ended);
                lease = wanted;
            }

            if (dirty is null)
            {
                log ??= source.OpenDirtyLog();
                setup = await source.ReadSetupAsync(ended);
                dirty = new DirtyLogOwner(log, source.Memory.PageCount, agent.Time, DirtyLogOwner.DefaultReuse);
            }

            return dirty;
        }
        finally
        {
            opening.Release();
        }
    }
}
