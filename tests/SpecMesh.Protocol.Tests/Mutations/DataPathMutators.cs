using SpecMesh.DataPath;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Protocol.Tests.Hosts;

namespace SpecMesh.Protocol.Tests.Mutations;

/// <summary>A mutator of the data path: it puts other pages into every source.</summary>
internal sealed class DataPathMutator(Func<Guest, TimeProvider, DirtyPages> make) : Mutator
{
    public override DirtyPages DirtyPagesOf(Guest guest, TimeProvider time) => make(guest, time);
}

/// <summary>Mutation 1: every replica harvests for itself, so that what one of them clears, the others never hear of.</summary>
internal sealed class OrIntoOwnReplicaOnly(Guest guest, TimeProvider time) : OwnerEach(guest, time)
{
    protected override IDirtyLog MakeView() => new View(this);

    private sealed class View(OwnerEach all) : SharedLog(all);
}

/// <summary>Mutation 2: a harvest reaches the replicas one after the other, and between two of them one tests whether anything is pending.</summary>
internal sealed class OrOneByOne(Guest guest, TimeProvider time) : OwnerEach(guest, time)
{
    private readonly List<View> views = [];

    protected override IDirtyLog MakeView()
    {
        View view = new(this);
        views.Add(view);
        return view;
    }

    private sealed class View(OrOneByOne all) : SharedLog(all)
    {
        private readonly PageBitmap delivered = new(all.Guest.Pages.Length);

        public override void Harvest(PageBitmap into)
        {
            PageBitmap cleared = new(all.Guest.Pages.Length);
            base.Harvest(cleared);
            foreach (View other in all.views.Where(view => view != this))
            {
                // The others' turn comes a moment later.
                all.Guest.Host.Cluster.Scheduler.After(TimeSpan.FromMilliseconds(30), () => other.delivered.Or(cleared));
            }

            into.Or(cleared);
            into.Or(delivered);
            delivered.Clear();
        }
    }
}

/// <summary>Mutation 3: the page is read, and then its bit is cleared.</summary>
internal sealed class ReadThenClear(Guest guest, TimeProvider time) : DirtyPages(guest, time)
{
    public override ulong[] ReadTooEarly(Guest guest)
    {
        ulong[] pages = [.. guest.Pages];
        guest.RunOn();
        return pages;
    }
}

/// <summary>Mutation 4: the log is peeked at and cleaned later, and what the cleaning would have shown is thrown away.</summary>
internal sealed class PeekThenClean(Guest guest, TimeProvider time) : DirtyPages(guest, time)
{
    protected override IDirtyLog MakeLog() => new Careless(Guest);

    private sealed class Careless(Guest guest) : ForwardedLog(guest)
    {
        public override void Harvest(PageBitmap into)
        {
            for (int page = 0; page < Guest.Pages.Length; page++)
            {
                if (Guest.IsDirty(page))
                {
                    into.Set(page);
                }
            }

            Guest.RunOn();
            Guest.Harvest(new PageBitmap(Guest.Pages.Length));
        }
    }
}

/// <summary>Mutation 5: only the candidate gets the final harvest.</summary>
internal sealed class FinalHarvestToCandidateOnly(Guest guest, TimeProvider time) : DirtyPages(guest, time)
{
    public override void FinalHarvest(int incarnation, PendingPages candidate)
    {
        PageBitmap last = new(Guest.Pages.Length);
        Guest.Harvest(last);
        if (candidate.Taken.IsEmpty)
        {
            candidate.Taken.Or(last);
            candidate.Return();
        }

        base.FinalHarvest(incarnation, candidate);
    }
}

/// <summary>Mutation 6: there is no final harvest; what the last round left is taken for all there is.</summary>
internal sealed class NoFinalHarvest(Guest guest, TimeProvider time) : DirtyPages(guest, time)
{
    private bool skip;

    protected override IDirtyLog MakeLog() => new Skipping(this, Guest);

    public override void FinalHarvest(int incarnation, PendingPages candidate)
    {
        skip = true;
        base.FinalHarvest(incarnation, candidate);
        skip = false;
    }

    private sealed class Skipping(NoFinalHarvest pages, Guest guest) : ForwardedLog(guest)
    {
        public override void Harvest(PageBitmap into)
        {
            if (!pages.skip)
            {
                base.Harvest(into);
            }
        }
    }
}

/// <summary>Mutation 7: the guest is believed to stand still, and runs.</summary>
internal sealed class CompleteWithoutPause : Mutator
{
    public override void Suspend(Guest guest)
    {
        base.Suspend(guest);
        guest.OnlySeemsToStand = true;
    }
}

/// <summary>Mutation 8: a loser turns the log off when it leaves.</summary>
internal sealed class LoserStopsTheLog(Guest guest, TimeProvider time) : DirtyPages(guest, time)
{
    public override void Leave(PendingPages replica)
    {
        base.Leave(replica);
        Guest.Stop();
    }
}

/// <summary>Mutation 9: a joiner turns the log off and on.</summary>
internal sealed class JoinerRestartsTheLog(Guest guest, TimeProvider time) : DirtyPages(guest, time)
{
    public override PendingPages Join()
    {
        Guest.Stop();
        Guest.Start();
        return base.Join();
    }
}

/// <summary>Mutation 10: the mark that the final harvest is made survives a resume.</summary>
internal sealed class FinalMarkSurvivesResume(Guest guest, TimeProvider time) : DirtyPages(guest, time)
{
    private bool suspendedOnce;

    public override int MarkOf(int incarnation) => 0;

    public override void BeginSuspend(int incarnation)
    {
        if (!suspendedOnce)
        {
            suspendedOnce = true;
            base.BeginSuspend(0);
        }
    }

    public override void FinalHarvest(int incarnation, PendingPages candidate)
    {
        if (!Owner.IsFinal(0))
        {
            base.FinalHarvest(0, candidate);
        }
    }

    public override void EndSuspend()
    {
        // What was final is taken for final for ever.
    }
}

/// <summary>One real owner per replica, all over one log: the frame of the two mutations whose harvest does not reach everybody at once.</summary>
internal abstract class OwnerEach(Guest guest, TimeProvider time) : DirtyPages(guest, time)
{
    private readonly Dictionary<PendingPages, DirtyLogOwner> owners = [];
    private int? suspended;

    public override PendingPages Join()
    {
        DirtyLogOwner owner = new(MakeView(), Guest.Pages.Length, Time, TimeSpan.Zero);
        if (suspended is { } incarnation)
        {
            owner.BeginSuspend(incarnation);
        }

        PendingPages joined = owner.Join();
        owners.Add(joined, owner);
        Live.Add(joined);
        return joined;
    }

    public override void BeginSuspend(int incarnation)
    {
        suspended = incarnation;
        foreach (DirtyLogOwner owner in owners.Values)
        {
            owner.BeginSuspend(incarnation);
        }
    }

    public override void EndSuspend()
    {
        suspended = null;
        foreach (DirtyLogOwner owner in owners.Values)
        {
            owner.EndSuspend();
        }
    }

    public override void FinalHarvest(int incarnation, PendingPages candidate)
    {
        foreach (DirtyLogOwner owner in owners.Values)
        {
            owner.FinalHarvest(incarnation);
        }
    }

    public override void Leave(PendingPages replica)
    {
        base.Leave(replica);
        owners.Remove(replica);
    }

    protected abstract IDirtyLog MakeView();

    /// <summary>The shared log, started once and stopped last, so that nothing but the harvest is wrong.</summary>
    internal abstract class SharedLog(OwnerEach all) : IDirtyLog
    {
        public string Name => all.Guest.Name;

        public void Start()
        {
            if (all.Live.Count == 0)
            {
                all.Guest.Start();
            }
        }

        public virtual void Harvest(PageBitmap into) => all.Guest.Harvest(into);

        public void Stop()
        {
            if (all.Live.Count == 0)
            {
                all.Guest.Stop();
            }
        }

        public void Dispose() => Stop();
    }
}

/// <summary>A log that goes through to the guest's.</summary>
internal abstract class ForwardedLog(Guest guest) : IDirtyLog
{
    public string Name => Guest.Name;

    protected Guest Guest { get; } = guest;

    public void Start() => Guest.Start();

    public virtual void Harvest(PageBitmap into) => Guest.Harvest(into);

    public void Stop() => Guest.Stop();

    public void Dispose() => Guest.Dispose();
}
