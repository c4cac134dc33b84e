namespace SpecMesh.DataPath.Tests;

/// <summary>Mutation 1: every replica harvests for itself, so that what one of them clears, the others never hear of.</summary>
internal sealed class OrIntoOwnReplicaOnly : FanOut
{
    public override void Join() => OwnerEach.Join(this, new View(Log, this));

    public override void Leave(ModelReplica replica) => OwnerEach.Leave(this, replica);

    public override void Suspend() => OwnerEach.Suspend(this, () => Paused = true);

    public override void FinalHarvest(ModelReplica candidate)
    {
        OwnerEach.FinalHarvest(this);
        FinalHarvestMade = true;
    }

    public override void Resume() => OwnerEach.Resume(this, base.Resume);

    /// <summary>The shared log, started once and stopped last, so that nothing but the harvest is wrong.</summary>
    private sealed class View(ModelLog log, FanOut fanOut) : IDirtyLog
    {
        public string Name => log.Name;

        public void Start() => OwnerEach.StartFirst(fanOut);

        public void Harvest(PageBitmap into) => log.Harvest(into);

        public void Stop() => OwnerEach.StopLast(fanOut);

        public void Dispose() => Stop();
    }
}

/// <summary>Mutation 2: a harvest reaches the replicas one after the other, and between two of them one tests whether anything is pending.</summary>
/// <param name="atOnce">True for the control: the harvest reaches all of them before anybody can test.</param>
internal sealed class OrOneByOne(bool atOnce) : FanOut
{
    private readonly List<View> views = [];

    public override void Join()
    {
        View view = new(this);
        views.Add(view);
        OwnerEach.Join(this, view);
    }

    public override void Leave(ModelReplica replica)
    {
        views.RemoveAt(Replicas.IndexOf(replica));
        OwnerEach.Leave(this, replica);
    }

    public override void Suspend() => OwnerEach.Suspend(this, () => Paused = true);

    public override void FinalHarvest(ModelReplica candidate)
    {
        OwnerEach.FinalHarvest(this);
        FinalHarvestMade = true;
    }

    public override void Resume() => OwnerEach.Resume(this, base.Resume);

    /// <summary>The other replicas' turn.</summary>
    public override void Settle() => views.ForEach(view => view.Deliver());

    private void DeliverIfAtOnce()
    {
        if (atOnce)
        {
            Settle();
        }
    }

    private sealed class View(OrOneByOne fanOut) : IDirtyLog
    {
        private readonly PageBitmap queued = new(Pages);
        private readonly PageBitmap delivered = new(Pages);

        public string Name => fanOut.Log.Name;

        public void Start() => OwnerEach.StartFirst(fanOut);

        public void Deliver()
        {
            delivered.Or(queued);
            queued.Clear();
        }

        public void Harvest(PageBitmap into)
        {
            PageBitmap cleared = new(Pages);
            fanOut.Log.Harvest(cleared);
            foreach (View view in fanOut.views.Where(view => view != this))
            {
                view.queued.Or(cleared);
            }

            fanOut.DeliverIfAtOnce();
            into.Or(cleared);
            into.Or(delivered);
            delivered.Clear();
        }

        public void Stop() => OwnerEach.StopLast(fanOut);

        public void Dispose() => Stop();
    }
}

/// <summary>Mutation 3: the page is read, and then its bit is cleared.</summary>
internal sealed class ReadThenClear : FanOut
{
    public override void BeginRound(ModelReplica replica)
    {
        replica.Staged = [.. Memory];
        Interleave();
        base.BeginRound(replica);
    }
}

/// <summary>Mutation 4: the log is peeked at and cleaned later, and what the cleaning would have shown is thrown away.</summary>
internal sealed class PeekThenClean : FanOut
{
    protected override ModelLog MakeLog() => new Careless(this);

    private sealed class Careless(FanOut fanOut) : ModelLog(Pages)
    {
        public override void Harvest(PageBitmap into)
        {
            Peek(into);
            fanOut.Interleave();
            Clean();
        }
    }
}

/// <summary>Mutation 5: only the candidate gets the final harvest.</summary>
internal sealed class FinalHarvestToCandidateOnly : FanOut
{
    public override void FinalHarvest(ModelReplica candidate)
    {
        PageBitmap last = new(Pages);
        Log.Harvest(last);
        if (!candidate.InRound)
        {
            candidate.Pending.Taken.Or(last);
            candidate.Pending.Return();
        }

        base.FinalHarvest(candidate);
    }
}

/// <summary>Mutation 6: there is no final harvest; what the last round left is taken for all there is.</summary>
internal sealed class NoFinalHarvest : FanOut
{
    private bool skip;

    protected override ModelLog MakeLog() => new Skipping(this);

    public override void FinalHarvest(ModelReplica candidate)
    {
        skip = true;
        base.FinalHarvest(candidate);
        skip = false;
    }

    private sealed class Skipping(NoFinalHarvest fanOut) : ModelLog(Pages)
    {
        public override void Harvest(PageBitmap into)
        {
            if (!fanOut.skip)
            {
                base.Harvest(into);
            }
        }
    }
}

/// <summary>Mutation 7: the guest is believed to stand still, and runs.</summary>
internal sealed class CompleteWithoutPause : FanOut
{
    public override void Suspend()
    {
        base.Suspend();
        Paused = false;
    }
}

/// <summary>Mutation 8: a loser turns the log off when it leaves.</summary>
internal sealed class LoserStopsTheLog : FanOut
{
    public override void Leave(ModelReplica replica)
    {
        base.Leave(replica);
        Log.Stop();
    }
}

/// <summary>Mutation 9: a joiner turns the log off and on.</summary>
internal sealed class JoinerRestartsTheLog : FanOut
{
    public override void Join()
    {
        Log.Stop();
        Log.Start();
        base.Join();
    }
}

/// <summary>Mutation 10: the mark that the final harvest is made survives a resume.</summary>
internal sealed class FinalMarkSurvivesResume : FanOut
{
    public override void Suspend()
    {
        Paused = true;
        if (!Owner.IsFinal(Incarnation))
        {
            Owner.BeginSuspend(Incarnation);
        }
    }

    public override void FinalHarvest(ModelReplica candidate)
    {
        if (!Owner.IsFinal(Incarnation))
        {
            Owner.FinalHarvest(Incarnation);
        }

        FinalHarvestMade = true;
    }

    public override void Resume()
    {
        Paused = false;
        FinalHarvestMade = false;
    }
}

/// <summary>One real owner per replica, all over one log: the frame of the two mutants whose harvest does not reach everybody at once.</summary>
internal static class OwnerEach
{
    public static void Join(FanOut fanOut, IDirtyLog view)
    {
        DirtyLogOwner owner = new(view, FanOut.Pages, TimeProvider.System, TimeSpan.Zero);
        if (fanOut.Paused)
        {
            owner.BeginSuspend(fanOut.Incarnation);
        }

        PendingPages pending = owner.Join();
        if (fanOut.FinalHarvestMade)
        {
            owner.FinalHarvest(fanOut.Incarnation);
        }

        fanOut.Replicas.Add(new ModelReplica(pending, owner, FanOut.Pages));
    }

    public static void Leave(FanOut fanOut, ModelReplica replica)
    {
        replica.Pending.Dispose();
        fanOut.Replicas.Remove(replica);
    }

    public static void StartFirst(FanOut fanOut)
    {
        if (fanOut.Replicas.Count == 0)
        {
            fanOut.Log.Start();
        }
    }

    public static void StopLast(FanOut fanOut)
    {
        if (fanOut.Replicas.Count == 1)
        {
            fanOut.Log.Stop();
        }
    }

    public static void Suspend(FanOut fanOut, Action pause)
    {
        pause();
        fanOut.Replicas.ForEach(replica => replica.Owner.BeginSuspend(fanOut.Incarnation));
    }

    public static void FinalHarvest(FanOut fanOut) => fanOut.Replicas.ForEach(replica => replica.Owner.FinalHarvest(fanOut.Incarnation));

    public static void Resume(FanOut fanOut, Action run)
    {
        fanOut.Replicas.ForEach(replica => replica.Owner.EndSuspend());
        run();
    }
}
