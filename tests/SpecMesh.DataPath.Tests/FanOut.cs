namespace SpecMesh.DataPath.Tests;

/// <summary>An exact dirty log of a guest that is only numbers: one counter per page.</summary>
internal class ModelLog(int pages) : IDirtyLog
{
    private readonly PageBitmap dirty = new(pages);
    private bool tracking;

    public string Name => "model";

    public void Wrote(int page)
    {
        if (tracking)
        {
            dirty.Set(page);
        }
    }

    public bool Has(int page) => dirty[page];

    public virtual void Start()
    {
        tracking = true;
        dirty.Clear();
    }

    public virtual void Harvest(PageBitmap into)
    {
        into.Or(dirty);
        dirty.Clear();
    }

    public virtual void Stop()
    {
        tracking = false;
        dirty.Clear();
    }

    public void Dispose() => Stop();

    protected void Peek(PageBitmap into) => into.Or(dirty);

    protected void Clean() => dirty.Clear();
}

/// <summary>A replica as the model sees it: what was copied to it, and how far its round is.</summary>
internal sealed class ModelReplica(PendingPages pending, DirtyLogOwner owner, int pages)
{
    public PendingPages Pending { get; } = pending;

    public DirtyLogOwner Owner { get; } = owner;

    /// <summary>Counter of each page as the target has it; -1 where nothing was copied.</summary>
    public long[] Copied { get; } = [.. Enumerable.Repeat(-1L, pages)];

    public bool InRound { get; set; }

    public int NextPage { get; set; }

    /// <summary>What a mutant read too early; null reads the live page.</summary>
    public long[]? Staged { get; set; }
}

/// <summary>
/// The guest, the real <see cref="DirtyLogOwner"/> and the algorithm around it as a schedule drives them, one step at a time. The mutants override single steps of it;
/// production code knows nothing of them.
/// </summary>
internal class FanOut
{
    public const int Pages = 6;

    public FanOut()
    {
        Log = MakeLog();
        Owner = new DirtyLogOwner(Log, Pages, TimeProvider.System, TimeSpan.Zero);
    }

    public ModelLog Log { get; }

    public DirtyLogOwner Owner { get; }

    public List<ModelReplica> Replicas { get; } = [];

    /// <summary>The guest's memory: how often each page was written.</summary>
    public long[] Memory { get; } = new long[Pages];

    /// <summary>Whether the guest's processors really stand still, whatever anybody believes.</summary>
    public bool Paused { get; protected set; }

    public int Incarnation { get; protected set; }

    public bool FinalHarvestMade { get; protected set; }

    /// <summary>How often a complete image was seen: shows that a search reaches what it looks for.</summary>
    public int Completions { get; set; }

    /// <summary>Lets something happen at a point that is inside of a step.</summary>
    public Action Interleave { get; set; } = () => { };

    protected virtual ModelLog MakeLog() => new(Pages);

    public void GuestWrites(int page)
    {
        if (!Paused)
        {
            Memory[page]++;
            Log.Wrote(page);
        }
    }

    public virtual void Join() => Replicas.Add(new ModelReplica(Owner.Join(), Owner, Pages));

    public virtual void Leave(ModelReplica replica)
    {
        Replicas.Remove(replica);
        replica.Pending.Dispose();
    }

    public virtual void BeginRound(ModelReplica replica)
    {
        replica.Pending.TakeForRound();
        replica.InRound = true;
        replica.NextPage = 0;
    }

    public virtual void BeginLastRound(ModelReplica replica)
    {
        replica.Pending.TakeForFinish(Incarnation);
        replica.InRound = true;
        replica.NextPage = 0;
    }

    /// <summary>Copies the next taken page; after the last one the target acknowledges.</summary>
    public void CopyNext(ModelReplica replica)
    {
        (long page, int count) = replica.Pending.Taken.NextRun(replica.NextPage, 1);
        if (count == 0)
        {
            replica.Pending.Acknowledge();
            replica.InRound = false;
            replica.Staged = null;
            return;
        }

        replica.Copied[page] = (replica.Staged ?? Memory)[page];
        replica.NextPage = (int)page + 1;
    }

    /// <summary>The round breaks before it is acknowledged.</summary>
    public void BreakRound(ModelReplica replica)
    {
        replica.Pending.Return();
        replica.InRound = false;
        replica.Staged = null;
    }

    public virtual void Suspend()
    {
        Paused = true;
        Owner.BeginSuspend(Incarnation);
    }

    public virtual void FinalHarvest(ModelReplica candidate)
    {
        Owner.FinalHarvest(Incarnation);
        FinalHarvestMade = true;
    }

    public virtual void Resume()
    {
        Owner.EndSuspend();
        Paused = false;
        FinalHarvestMade = false;
        Incarnation++;
    }

    public virtual bool IsComplete(ModelReplica replica) => replica.Pending.IsComplete(Incarnation);

    /// <summary>A step of a mutant's own; nothing otherwise.</summary>
    public virtual void Settle()
    {
    }
}
