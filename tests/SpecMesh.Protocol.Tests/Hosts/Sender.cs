using SpecMesh.Contracts;
using SpecMesh.DataPath;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>A migration stream has ended.</summary>
internal sealed class StreamEndedException(string message) : Exception(message);

/// <summary>
/// The source's end of one replica's migration stream: rounds, the last pages, a vote; one command at a time. Pages are read in pieces, between which the guest writes on.
/// </summary>
internal sealed class Sender : IStreamEnd
{
    private readonly SourceSide side;
    private readonly DirtyPages dirty;
    private readonly Guest guest;
    private readonly ulong[] sent;
    private readonly TimeSpan connectedAt;
    private readonly TaskCompletionSource left = new();
    private MigrationStream? stream;
    private string? ended;
    private TaskCompletionSource? acknowledged;
    private TaskCompletionSource<StreamRecord.Ready>? ready;
    private TaskCompletionSource<StreamRecord>? voteSettled;
    private bool busy;
    private bool closing;
    private long pagesSent;
    private int round;

    public Sender(SourceSide side, DirtyPages dirty, Guest guest, TargetSide target)
    {
        this.side = side;
        this.dirty = dirty;
        this.guest = guest;
        Target = target;
        sent = new ulong[guest.Pages.Length];
        connectedAt = side.Agent.Cluster.Scheduler.Now;
        Pending = dirty.Join();
    }

    public TargetSide Target { get; }

    public PendingPages Pending { get; }

    public Agent Agent => side.Agent;

    public MigrationStream Stream => stream!;

    public ReplicaCounters Counters => new(pagesSent * IGuestMemory.PageBytes, pagesSent, round, 0, (Cluster.Scheduler.Now - connectedAt).TotalMilliseconds);

    private Cluster Cluster => side.Agent.Cluster;

    public void Connect(MigrationStream connection) => stream = connection;

    public async Task<ReplicaRoundCompleted> RunRoundAsync(Func<int, long, long, double, ReplicaRoundCompleted> describe)
    {
        return await CommandAsync(async () =>
        {
            TimeSpan began = Cluster.Scheduler.Now;
            ulong[]? early = dirty.ReadTooEarly(guest);
            long pages = Pending.TakeForRound();
            await SendTakenAsync(early);
            await EndRoundAsync();
            Pending.Acknowledge();
            side.CheckPages("the end of a round");
            return describe(round, pages, Pending.MeasurePending(), (Cluster.Scheduler.Now - began).TotalMilliseconds);
        });
    }

    public async Task<(StreamRecord.Ready Ready, ReplicaRoundCompleted Last)> FinishAsync(int incarnation, long ownershipVersion, Func<int, long, long, double, ReplicaRoundCompleted> describe)
    {
        return await CommandAsync(async () =>
        {
            TimeSpan began = Cluster.Scheduler.Now;
            long pages = Pending.TakeForFinish(dirty.MarkOf(incarnation));
            await SendTakenAsync(null);
            ready = new TaskCompletionSource<StreamRecord.Ready>();
            await EndRoundAsync();
            string digest = Guest.DigestOf(sent);
            stream!.ToTarget(new StreamRecord.Complete(incarnation, digest, ownershipVersion));
            StreamRecord.Ready answer = await ready.Task;
            if (answer.Incarnation != incarnation || answer.Digest != digest)
            {
                throw new StreamEndedException("The target is ready with another image.");
            }

            Pending.Acknowledge();
            if (!Pending.IsComplete(dirty.MarkOf(incarnation)))
            {
                throw new StreamEndedException($"The guest did not stay suspended in incarnation {incarnation}.");
            }

            side.CheckPages("completion");
            side.CheckComplete(this);
            return (answer, describe(round, pages, 0, (Cluster.Scheduler.Now - began).TotalMilliseconds));
        });
    }

    /// <summary>Gives the vote; its fate is told, or the stream ends.</summary>
    public Task<StreamRecord> VoteAsync(long ownershipVersion, int incarnation, int epoch)
    {
        ThrowIfEnded();
        voteSettled = new TaskCompletionSource<StreamRecord>();
        stream!.ToTarget(new StreamRecord.Vote(ownershipVersion, incarnation, epoch));
        return voteSettled.Task;
    }

    public void Arrived(StreamRecord record)
    {
        switch (record)
        {
            case StreamRecord.Ack: acknowledged?.TrySetResult(); break;
            case StreamRecord.Ready image: ready?.TrySetResult(image); break;
            case StreamRecord.Resumed or StreamRecord.Refused: voteSettled?.TrySetResult(record); break;
            case StreamRecord.Abort abort: Fail(abort.Detail); break;
            case StreamRecord.End end: Fail(end.Detail); break;
        }
    }

    /// <summary>Tells the target why the replica ends, if nothing else is being sent, and closes the stream.</summary>
    public Task AbortAsync(string reason)
    {
        if (!busy && ended is null)
        {
            stream!.ToTarget(new StreamRecord.Abort(reason));
        }

        return CloseAsync();
    }

    /// <summary>Closes the stream and leaves the dirty log; ends when nothing of it is read any more.</summary>
    public Task CloseAsync()
    {
        if (!closing)
        {
            closing = true;
            Fail("The migration stream was closed.");
            stream!.Close(this, "The source has closed the migration stream.");
            LeaveIfClosing();
        }

        return left.Task;
    }

    private async Task<T> CommandAsync<T>(Func<Task<T>> work)
    {
        busy = true;
        try
        {
            ThrowIfEnded();
            return await work();
        }
        catch
        {
            Pending.Return();
            Fail("A command of the migration stream has failed.");
            throw;
        }
        finally
        {
            busy = false;
            LeaveIfClosing();
        }
    }

    private void LeaveIfClosing()
    {
        if (closing && !busy)
        {
            dirty.Leave(Pending);
            left.TrySetResult();
        }
    }

    private async Task SendTakenAsync(ulong[]? early)
    {
        for (long next = 0; ;)
        {
            (long first, int count) = Pending.Taken.NextRun(next, 1 + Cluster.Links.Random.NextInt(8));
            if (count == 0)
            {
                return;
            }

            guest.RunOn();
            (int, ulong)[] pages = new (int, ulong)[count];
            for (int i = 0; i < count; i++)
            {
                int page = (int)first + i;
                sent[page] = (early ?? guest.Pages)[page];
                pages[i] = (page, sent[page]);
            }

            stream!.ToTarget(new StreamRecord.Data(pages));
            pagesSent += count;
            next = first + count;
            await Agent.Life.Pause(Cluster.PieceTime());
            ThrowIfEnded();
        }
    }

    private async Task EndRoundAsync()
    {
        acknowledged = new TaskCompletionSource();
        stream!.ToTarget(new StreamRecord.RoundEnd(++round));
        await acknowledged.Task;
        ThrowIfEnded();
    }

    private void Fail(string why)
    {
        ended ??= why;
        acknowledged?.TrySetException(new StreamEndedException(ended));
        ready?.TrySetException(new StreamEndedException(ended));
        voteSettled?.TrySetException(new StreamEndedException(ended));
    }

    private void ThrowIfEnded()
    {
        if (ended is not null)
        {
            throw new StreamEndedException(ended);
        }
    }
}
