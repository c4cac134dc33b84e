using System.Collections.Concurrent;
using SpecMesh.DataPath;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>
/// Who of this agent needs the dirty log of which domain, or needs it left alone: the hypervisor has one per domain. A snapshot turns it off at its end, and a change of memory moves
/// the page frames that it speaks of.
/// </summary>
internal sealed class DirtyLogClaims
{
    private readonly ConcurrentDictionary<int, string> holders = new();

    /// <summary>Claims a domain's log until the answer is disposed.</summary>
    /// <param name="domainId">The domain.</param>
    /// <param name="what">What claims it, for the message of who comes second.</param>
    /// <exception cref="DirtyLogException">It is claimed.</exception>
    public IDisposable Take(int domainId, string what)
    {
        if (holders.TryAdd(domainId, what))
        {
            return new Claim(this, domainId);
        }

        string holder = holders.GetValueOrDefault(domainId, "something else");
        throw new DirtyLogException($"The dirty log of domain {domainId} is needed by {holder} of it; there is only one.");
    }

    private sealed class Claim(DirtyLogClaims claims, int domainId) : IDisposable
    {
        private int released;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref released, 1) == 0)
            {
                claims.holders.TryRemove(domainId, out _);
            }
        }
    }
}
