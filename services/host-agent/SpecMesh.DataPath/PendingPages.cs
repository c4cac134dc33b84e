namespace SpecMesh.DataPath;

/// <summary>
/// One replica's share of the dirty log: pages that are pending, and pages that were taken for sending and are not acknowledged. Used by one thread at a time, except
/// where a member says otherwise; the bitmaps belong to the <see cref="DirtyLogOwner"/>, under whose lock they change.
/// </summary>
public sealed class PendingPages : IDisposable
{
    private readonly DirtyLogOwner owner;
    private long pendingCount;

    internal PendingPages(DirtyLogOwner owner, long pageCount)
    {
        this.owner = owner;
        Pending = new PageBitmap(pageCount);
        Taken = new PageBitmap(pageCount);
        Live = true;
    }

    /// <summary>Pages pending after the last harvest, without those that are taken. May be read by any thread.</summary>
    public long PendingCount => Volatile.Read(ref pendingCount);

    /// <summary>Pages that the round in progress sends. Read it without a lock: it changes only by calls on this object.</summary>
    public PageBitmap Taken { get; private set; }

    internal PageBitmap Pending { get; private set; }

    internal bool Live { get; set; }

    /// <summary>Begins a round: harvests (or reuses a harvest that is a few milliseconds old) and takes everything pending. The pages must be read after this call.</summary>
    /// <returns>Number of pages taken.</returns>
    public long TakeForRound() => owner.TakeForRound(this);

    /// <summary>Takes the last pages of the image of this incarnation.</summary>
    /// <returns>Number of pages taken.</returns>
    /// <exception cref="InvalidOperationException">No final harvest was made since the guest was suspended in this incarnation.</exception>
    public long TakeForFinish(int incarnation) => owner.TakeForFinish(this, incarnation);

    /// <summary>The target has applied everything that was taken.</summary>
    public void Acknowledge() => owner.Acknowledge(this);

    /// <summary>What was taken may not have arrived: all of it is pending again.</summary>
    public void Return() => owner.Return(this);

    /// <summary>Harvests (or reuses a harvest that is a few milliseconds old) and counts what is pending.</summary>
    public long MeasurePending() => owner.MeasurePending(this);

    /// <summary>True when the target has the whole image of this incarnation (I4): suspended, final harvest since, nothing pending, nothing unacknowledged. May be called by any thread.</summary>
    public bool IsComplete(int incarnation) => owner.IsComplete(this, incarnation);

    /// <summary>The replica leaves. The last one stops the log. A second call does nothing.</summary>
    public void Dispose() => owner.Leave(this);

    internal void CountPending() => Volatile.Write(ref pendingCount, Pending.PopCount);

    /// <summary>Swaps the bitmaps. Caller holds the lock.</summary>
    internal long MoveToTaken()
    {
        if (!Live)
        {
            throw new InvalidOperationException("The replica has left the dirty log.");
        }

        if (!Taken.IsEmpty)
        {
            throw new InvalidOperationException("Pages are taken already: acknowledge or return them first.");
        }

        (Pending, Taken) = (Taken, Pending);
        Volatile.Write(ref pendingCount, 0);
        return Taken.PopCount;
    }
}
