using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Collections.Immutable;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hosting;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.ReplicationPolicy;

/// <summary>
/// What lists need and no single event stream tells: all machines, and the latest operations. Built from the first event on at every start, and behind the store by
/// moments: nothing is decided from it.
/// </summary>
public sealed class OperationDirectory
{
    /// <summary>How many operations are remembered; older ones are still found by their id.</summary>
    public const int MaxOperations = 10_000;

    private static readonly FrozenSet<string> Telling =
        new[] { nameof(SpecOpAccepted), nameof(ReplicasPlanned), nameof(SpecOpSettled) }.Select(EventTypes.AliasOf).ToFrozenSet(StringComparer.Ordinal);

    private readonly ConcurrentDictionary<string, OwnershipView> vms = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Guid, UnsettledOperation> unsettled = new();
    private readonly ConcurrentDictionary<string, Reason> suspected = new(StringComparer.Ordinal);
    private readonly LinkedList<Guid> latest = new();
    private readonly Lock gate = new();

    /// <summary>All machines, by name.</summary>
    public IReadOnlyList<OwnershipView> Vms => [.. vms.Values.OrderBy(vm => vm.VmId, StringComparer.Ordinal)];

    /// <summary>Machines that the host owns.</summary>
    public IReadOnlyList<string> OwnedBy(string hostId) => [.. vms.Values.Where(vm => vm.OwnerHostId == hostId).Select(vm => vm.VmId).Order(StringComparer.Ordinal)];

    /// <summary>Machines of the host that are being recovered from elsewhere, because it was confirmed dead.</summary>
    public IReadOnlyList<string> RecoveredFrom(string hostId) =>
        [.. vms.Values.Where(vm => vm.OwnerHostId == hostId && vm.Recovery is not null).Select(vm => vm.VmId).Order(StringComparer.Ordinal)];

    /// <summary>Operations that may still hold something somewhere.</summary>
    public IReadOnlyList<UnsettledOperation> Unsettled => [.. unsettled.Values];

    /// <summary>Why a host is suspected; null while it is trusted.</summary>
    public Reason? SuspicionOf(string? hostId) => hostId is null ? null : suspected.GetValueOrDefault(hostId);

    /// <summary>Ids of the latest operations, the newest first.</summary>
    public IReadOnlyList<Guid> Latest(int limit)
    {
        lock (gate)
        {
            return [.. latest.Take(limit)];
        }
    }

    /// <summary>One more event of the store.</summary>
    public void Apply(StoredEvent stored)
    {
        if (stored.StreamId.StartsWith(EventStreams.VmPrefix, StringComparison.Ordinal))
        {
            string vmId = stored.StreamId[EventStreams.VmPrefix.Length..];
            vms[vmId] = OwnershipDecider.Evolve(vms.GetValueOrDefault(vmId) ?? OwnershipDecider.Unknown(vmId), stored.Data);
        }
        else if (stored.StreamId.StartsWith(EventStreams.OperationPrefix, StringComparison.Ordinal))
        {
            // Nearly all events of operations mean nothing here: their JSON is not read.
            if (Telling.Contains(stored.Alias))
            {
                ApplyToOperation(stored.Data);
            }
        }
        else if (stored.Data is HostSuspected silent)
        {
            suspected[silent.HostId] = silent.Reason;
        }
        else if (stored.Data is HostRecovered heard)
        {
            suspected.TryRemove(heard.HostId, out _);
        }
    }

    private void ApplyToOperation(object @event)
    {
        switch (@event)
        {
            case SpecOpAccepted accepted:
                Remember(accepted);
                break;
            case ReplicasPlanned planned when unsettled.TryGetValue(planned.OperationId, out UnsettledOperation? operation):
                unsettled[planned.OperationId] = operation with { HostIds = operation.HostIds.Union(planned.Replicas.Select(replica => replica.HostId)) };
                break;
            case SpecOpSettled settled:
                unsettled.TryRemove(settled.OperationId, out _);
                break;
        }
    }

    private void Remember(SpecOpAccepted accepted)
    {
        ImmutableHashSet<string> hosts = accepted.SourceHostId is { } source ? [source] : [];
        unsettled[accepted.OperationId] = new UnsettledOperation(accepted.OperationId, accepted.VmId, hosts);
        lock (gate)
        {
            latest.AddFirst(accepted.OperationId);
            if (latest.Count > MaxOperations)
            {
                latest.RemoveLast();
            }
        }
    }
}

/// <summary>An operation that may still hold something somewhere.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="VmId">Its machine.</param>
/// <param name="HostIds">Its source and every host that it had a replica on.</param>
public sealed record UnsettledOperation(Guid OperationId, string VmId, ImmutableHashSet<string> HostIds);

/// <summary>Registers the directory.</summary>
public static class OperationDirectoryRegistration
{
    public static MeshBuilder AddDirectory(this MeshBuilder mesh)
    {
        mesh.Services.AddSingleton<OperationDirectory>();
        return mesh.View("operation-directory", (services, stored) => services.GetRequiredService<OperationDirectory>().Apply(stored));
    }
}
