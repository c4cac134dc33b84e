using SpecMesh.DataPath;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>
/// The dirty log of one operation: the production <see cref="DirtyLogOwner"/> over the simulated guest's log. A mutation of the data path overrides single steps of it; production
/// code knows nothing of them.
/// </summary>
internal class DirtyPages
{
    public DirtyPages(Guest guest, TimeProvider time)
    {
        Guest = guest;
        Time = time;
        Owner = new DirtyLogOwner(MakeLog(), guest.Pages.Length, time, TimeSpan.FromMilliseconds(5));
    }

    public Guest Guest { get; }

    public List<PendingPages> Live { get; } = [];

    protected TimeProvider Time { get; }

    protected DirtyLogOwner Owner { get; }

    public virtual PendingPages Join()
    {
        PendingPages joined = Owner.Join();
        Live.Add(joined);
        return joined;
    }

    public virtual void Leave(PendingPages replica)
    {
        Live.Remove(replica);
        replica.Dispose();
    }

    public virtual void BeginSuspend(int incarnation) => Owner.BeginSuspend(incarnation);

    public virtual void EndSuspend() => Owner.EndSuspend();

    public virtual void FinalHarvest(int incarnation, PendingPages candidate) => Owner.FinalHarvest(incarnation);

    /// <summary>The incarnation under which the owner knows the guest's suspend.</summary>
    public virtual int MarkOf(int incarnation) => incarnation;

    /// <summary>What a mutation reads before a round's harvest; null otherwise.</summary>
    public virtual ulong[]? ReadTooEarly(Guest guest) => null;

    protected virtual IDirtyLog MakeLog() => Guest;
}
