using SpecMesh.Hypervisors.Xen.Native;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>
/// Domains that an agent has begun to build and has not tagged yet, by their UUIDs. Until they are tagged nothing else says whose they are: xl gives a domain its name late, and under a
/// machine's own name it could be anybody's. It is kept in xenstore, which outlives an agent, and not the host, as the domains do.
/// </summary>
internal sealed class UnfinishedDomains(XenStore store)
{
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

    /// <summary>True for a domain, without a tag, that an agent before this one has begun and did not live to end, and of which nothing is lost if it goes: nothing has ever run in it.</summary>
    public bool IsLeft(XenDomainInfo domain)
    {
        lock (gate)
        {
            return domain is { Paused: true, CpuTimeNs: 0 } && !begun.Contains(domain.Uuid) && store.Read(PathOf(domain.Uuid)) is not null;
        }
    }

    /// <summary>What was left of it is gone. One that is not seen is not forgotten: an xl that has outlived its agent may be about to build it.</summary>
    public void Forget(Guid uuid)
    {
        lock (gate)
        {
            if (!begun.Contains(uuid))
            {
                store.Remove(PathOf(uuid));
            }
        }
    }

    /// <summary>Where the note of a domain is.</summary>
    internal static string PathOf(Guid uuid) => $"/tool/specmesh/unfinished/{uuid}";

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
