namespace SpecMesh.DataPath;

/// <summary>
/// The one consumer of a guest's dirty log, and the owner of the pending bitmaps of all its replicas. Everything here happens under one lock. What it keeps true:
/// <list type="bullet">
/// <item>I1 For every live replica and page: the last copied version is current, or the page is pending, taken and not acknowledged, or in the log.</item>
/// <item>I2 The log's bit is cleared before the page is read: a round takes its pages after a harvest, and reads them after that.</item>
/// <item>I3 A harvest reaches every live replica's pending bitmap before anybody can test for "nothing pending" or take pages.</item>
/// <item>I4 An image is complete only while the guest is suspended, after a final harvest since this suspend, with nothing pending and everything acknowledged.</item>
/// <item>I5 A joining replica starts with every page pending.</item>
/// <item>I6 A failed harvest makes every page pending for everyone.</item>
/// <item>I7 The log is started by the first replica and stopped with the last one only.</item>
/// </list>
/// </summary>
public sealed class DirtyLogOwner
{
    /// <summary>Default of how old a harvest may be to serve for another replica's round as well: every harvest makes the guest fault once more on each hot page.</summary>
    public static readonly TimeSpan DefaultReuse = TimeSpan.FromMilliseconds(5);

    private readonly Lock gate = new();
    private readonly List<PendingPages> replicas = [];
    private readonly IDirtyLog log;
    private readonly TimeProvider time;
    private readonly TimeSpan reuse;
    private readonly PageBitmap harvested;
    private long harvestedAt;
    private int? suspended;
    private bool finalHarvestDone;
    private DirtyRate rate = new(0, 0, 0, null);

    /// <param name="log">The log; nobody else may harvest it. The caller disposes it, after the last replica has left.</param>
    /// <param name="pageCount">Pages of the guest.</param>
    /// <param name="time">Clock for the reuse of harvests and for the dirty rate.</param>
    /// <param name="reuse">How old a harvest may be to be reused for a round's start; zero for never. A final harvest is never reused.</param>
    public DirtyLogOwner(IDirtyLog log, long pageCount, TimeProvider time, TimeSpan reuse)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(pageCount, 1);
        this.log = log;
        this.time = time;
        this.reuse = reuse;
        PageCount = pageCount;
        harvested = new PageBitmap(pageCount);
    }

    /// <summary>Pages of the guest.</summary>
    public long PageCount { get; }

    /// <summary>What all harvests so far say about the guest's writing. May be read at any time.</summary>
    public DirtyRate Rate
    {
        get
        {
            lock (gate)
            {
                return rate;
            }
        }
    }

    /// <summary>A replica joins: every page is pending for it (I5). The first one starts the log.</summary>
    /// <exception cref="DirtyLogException">The log cannot be started. The replica has not joined.</exception>
    public PendingPages Join()
    {
        lock (gate)
        {
            if (replicas.Count == 0)
            {
                log.Start();
                finalHarvestDone = false;
                harvestedAt = time.GetTimestamp();
            }

            PendingPages joined = new(this, PageCount);
            joined.Pending.SetAll();
            joined.CountPending();
            replicas.Add(joined);
            return joined;
        }
    }

    /// <summary>The guest has been suspended and its devices are quiet. No final harvest has been made for this suspend.</summary>
    /// <param name="incarnation">How often the guest was resumed during the operation. A suspend under the same number as an earlier one is a new suspend all the same.</param>
    public void BeginSuspend(int incarnation)
    {
        lock (gate)
        {
            suspended = incarnation;
            finalHarvestDone = false;
        }
    }

    /// <summary>The guest is about to be resumed: call this before it runs. What was final is so no more.</summary>
    public void EndSuspend()
    {
        lock (gate)
        {
            suspended = null;
            finalHarvestDone = false;
        }
    }

    /// <summary>Harvests what the guest wrote before it was suspended, into every replica. Never answered from an earlier harvest.</summary>
    /// <exception cref="InvalidOperationException">The guest is not suspended in this incarnation.</exception>
    /// <exception cref="DirtyLogException">The log may have lost pages: all are pending for everyone, and the harvest does not count. It may be tried again.</exception>
    public void FinalHarvest(int incarnation)
    {
        lock (gate)
        {
            if (suspended != incarnation)
            {
                throw new InvalidOperationException($"A final harvest for incarnation {incarnation} needs the guest suspended in it; it is {Describe()}.");
            }

            finalHarvestDone = false;
            if (!Harvest())
            {
                throw new DirtyLogException("The final harvest failed: everything is pending for every replica.", rate.LastFailure);
            }

            finalHarvestDone = true;
        }
    }

    /// <summary>True while the guest is suspended in this incarnation and a final harvest has been made since.</summary>
    public bool IsFinal(int incarnation)
    {
        lock (gate)
        {
            return suspended == incarnation && finalHarvestDone;
        }
    }

    /// <summary>Harvests unless the last harvest is young enough, and takes what is pending for one replica, in one critical section.</summary>
    internal long TakeForRound(PendingPages replica)
    {
        lock (gate)
        {
            HarvestUnlessFresh();
            return replica.MoveToTaken();
        }
    }

    /// <summary>Takes the last pages of an image.</summary>
    internal long TakeForFinish(PendingPages replica, int incarnation)
    {
        lock (gate)
        {
            if (suspended != incarnation || !finalHarvestDone)
            {
                throw new InvalidOperationException($"An image of incarnation {incarnation} cannot be finished: the guest is {Describe()}.");
            }

            return replica.MoveToTaken();
        }
    }

    /// <summary>Pages that a replica still needs, by a harvest that is at most as old as the reuse allows.</summary>
    internal long MeasurePending(PendingPages replica)
    {
        lock (gate)
        {
            HarvestUnlessFresh();
            return replica.Pending.PopCount;
        }
    }

    internal bool IsComplete(PendingPages replica, int incarnation)
    {
        lock (gate)
        {
            return suspended == incarnation && finalHarvestDone && replica.Live && replica.Taken.IsEmpty && replica.Pending.IsEmpty;
        }
    }

    internal void Acknowledge(PendingPages replica)
    {
        lock (gate)
        {
            replica.Taken.Clear();
        }
    }

    internal void Return(PendingPages replica)
    {
        lock (gate)
        {
            replica.Pending.Or(replica.Taken);
            replica.Taken.Clear();
            replica.CountPending();
        }
    }

    internal void Leave(PendingPages replica)
    {
        lock (gate)
        {
            if (replicas.Remove(replica))
            {
                replica.Live = false;
                if (replicas.Count == 0)
                {
                    log.Stop();
                }
            }
        }
    }

    private void HarvestUnlessFresh()
    {
        if (time.GetElapsedTime(harvestedAt) >= reuse)
        {
            // A failure is not thrown at the round: everything has become pending, so the round is right, only long.
            Harvest();
        }
    }

    /// <summary>Clears the log into every live replica's pending bitmap (I3), or makes everything pending (I6).</summary>
    /// <returns>False when the harvest failed; the reason is in <see cref="rate"/>.</returns>
    private bool Harvest()
    {
        harvested.Clear();
        try
        {
            log.Harvest(harvested);
        }
        catch (Exception failure)
        {
            foreach (PendingPages replica in replicas)
            {
                replica.Pending.SetAll();
                replica.CountPending();
            }

            if (failure is not DirtyLogException known)
            {
                throw;
            }

            rate = rate with { FailedHarvests = rate.FailedHarvests + 1, LastFailure = known };
            return false;
        }

        foreach (PendingPages replica in replicas)
        {
            replica.Pending.Or(harvested);
            replica.CountPending();
        }

        long now = time.GetTimestamp();
        long pages = harvested.PopCount;
        double seconds = time.GetElapsedTime(harvestedAt, now).TotalSeconds;
        rate = rate with { TotalPages = rate.TotalPages + pages, PagesPerSecond = seconds > 0 ? pages / seconds : rate.PagesPerSecond };
        harvestedAt = now;
        return true;
    }

    private string Describe() => suspended is { } incarnation
        ? $"suspended in incarnation {incarnation}, {(finalHarvestDone ? "with" : "without")} a final harvest"
        : "not suspended";
}

/// <summary>How much the guest writes, over all replicas' harvests together.</summary>
/// <param name="TotalPages">Pages harvested since the owner began; a page counts once per harvest that finds it.</param>
/// <param name="PagesPerSecond">Pages per second between the last two harvests.</param>
/// <param name="FailedHarvests">Harvests after which everything had to be taken for dirty.</param>
/// <param name="LastFailure">Why the last of them failed; null when none has.</param>
public sealed record DirtyRate(long TotalPages, double PagesPerSecond, int FailedHarvests, DirtyLogException? LastFailure);
