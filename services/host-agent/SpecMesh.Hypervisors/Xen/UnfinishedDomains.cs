using SpecMesh.Hypervisors.Xen.Native;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>
/// Domains that an agent has begun to build and has not tagged yet, by their UUIDs. Until they are tagged nothing else says whose they are: xl gives a domain its name late, and under a
/// machine's own name it could be anybody's. It is kept in xenstore, which outlives an agent, and not the host, as the domains do.
/// </summary>
internal sealed class UnfinishedDomains(XenStore store)
{
    private const string Folder = "/tool/specmesh/unfinished";
    private readonly Lock gate = new();
    private readonly List<Guid> begun = [];

    /// <summary>A domain with this UUID is going to be built. To be disposed when it is tagged, or gone.</summary>
    public IDisposable Begin(Guid uuid)
    {
        lock (gate)
        {
            store.Write(PathOf(uuid), "");
            begun.Add(uuid);
        }

        return new Build(this, uuid);
    }

    /// <summary>What agents before this one have begun, and did not live to end.</summary>
    public IReadOnlySet<Guid> Left()
    {
        lock (gate)
        {
            return store.List(Folder).Select(name => Guid.TryParse(name, out Guid uuid) ? uuid : Guid.Empty).Except(begun).ToHashSet();
        }
    }

    /// <summary>Nothing of these is left.</summary>
    public void Forget(IReadOnlySet<Guid> uuids)
    {
        lock (gate)
        {
            foreach (Guid uuid in uuids.Except(begun))
            {
                store.Remove(PathOf(uuid));
            }
        }
    }

    /// <summary>True for a domain of which nothing was lost if it went: nothing has ever run in it.</summary>
    public static bool IsUntouched(XenDomainInfo domain) => domain is { Paused: true, CpuTimeNs: 0 };

    private static string PathOf(Guid uuid) => $"{Folder}/{uuid}";

    private void End(Guid uuid)
    {
        lock (gate)
        {
            begun.Remove(uuid);
            if (!begun.Contains(uuid))
            {
                store.Remove(PathOf(uuid));
            }
        }
    }

    private sealed class Build(UnfinishedDomains builds, Guid uuid) : IDisposable
    {
        private int ended;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref ended, 1) == 0)
            {
                builds.End(uuid);
            }
        }
    }
}
