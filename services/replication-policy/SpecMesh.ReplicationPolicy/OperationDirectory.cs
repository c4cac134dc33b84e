using System.Collections.Concurrent;
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

    private readonly ConcurrentDictionary<string, OwnershipView> vms = new(StringComparer.Ordinal);
    private readonly LinkedList<Guid> latest = new();
    private readonly HashSet<string> listed = new(StringComparer.Ordinal);
    private readonly Lock gate = new();

    /// <summary>All machines, by name.</summary>
    public IReadOnlyList<OwnershipView> Vms => [.. vms.Values.OrderBy(vm => vm.VmId, StringComparer.Ordinal)];

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
            lock (gate)
            {
                // Nearly all events are of operations that are listed already: their JSON is not read.
                if (!listed.Contains(stored.StreamId) && stored.Data is SpecOpAccepted accepted)
                {
                    List(stored.StreamId, accepted.OperationId);
                }
            }
        }
    }

    private void List(string streamId, Guid operationId)
    {
        listed.Add(streamId);
        latest.AddFirst(operationId);
        if (latest.Count > MaxOperations)
        {
            listed.Remove(EventStreams.OfOperation(latest.Last!.Value));
            latest.RemoveLast();
        }
    }
}

/// <summary>Registers the directory.</summary>
public static class OperationDirectoryRegistration
{
    public static MeshBuilder AddDirectory(this MeshBuilder mesh)
    {
        mesh.Services.AddSingleton<OperationDirectory>();
        return mesh.View("operation-directory", (services, stored) => services.GetRequiredService<OperationDirectory>().Apply(stored));
    }
}
