using System.Buffers.Binary;
using System.Net;
using System.Threading.Channels;

namespace SpecMesh.DataPath;

/// <summary>
/// The target's end of one replica's migration stream: one source, once. A source that has lost its connection does not come back; the replica fails and another one is made.
/// The session reads on a thread of its own. Its owner reads <see cref="Events"/>: the session waits when the owner does not, so nothing piles up.
/// </summary>
public sealed class MigrationReceiver : IAsyncDisposable
{
    private const int MaxWaitingEvents = 64;

    private readonly Lock gate = new();
    private readonly CancellationTokenSource ended = new();
    private readonly TaskCompletionSource finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Channel<ReceiverEvent> events = Channel.CreateBounded<ReceiverEvent>(MaxWaitingEvents);
    private readonly IImageShell shell;
    private readonly ReceiverFaults faults;
    private readonly TimeProvider time;
    private readonly Action<MigrationReceiver> forget;
    private readonly Action<ImageCompleted>? keep;
    private ReceiverState state;
    private Vote? openVote;
    private TaskCompletionSource? voteSettled;
    private RecordConnection? records;
    private Action? close;
    private long bytesReceived;

    internal MigrationReceiver(ReplicaIdentity identity, byte[] token, IImageShell shell, ReceiverFaults faults, TimeProvider time, Action<MigrationReceiver> forget, Action<ImageCompleted>? keep = null)
    {
        Identity = identity;
        Token = token;
        this.shell = shell;
        this.faults = faults;
        this.time = time;
        this.forget = forget;
        this.keep = keep;
    }

    /// <summary>Which replica this is.</summary>
    public ReplicaIdentity Identity { get; }

    /// <summary>What happens, in order. Completes after <see cref="SourceAborted"/>, <see cref="MigrationFailed"/>, a resumed guest, or disposal.</summary>
    public ChannelReader<ReceiverEvent> Events => events.Reader;

    /// <summary>Where the session stands. May be read by any thread.</summary>
    public ReceiverState State
    {
        get
        {
            lock (gate)
            {
                return state;
            }
        }
    }

    /// <summary>Bytes of page records received so far. May be read by any thread.</summary>
    public long BytesReceived
    {
        get => Volatile.Read(ref bytesReceived);
        internal set => Volatile.Write(ref bytesReceived, value);
    }

    internal byte[] Token { get; }

    /// <summary>Cancelled when the session is over.</summary>
    internal CancellationToken Ended => ended.Token;

    /// <summary>The guest runs here, and the ownership is durable: tells the source and ends the migration stream. Call it only after the commit.</summary>
    /// <returns>False when the source could not be told; the event stream tells it.</returns>
    /// <exception cref="InvalidOperationException">No vote is open.</exception>
    public bool ReportResumed() => SettleVote(ReceiverState.Ended, vote =>
    {
        byte[] body = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(body, vote.Incarnation);
        records!.Write(RecordType.Resumed, body);
    });

    /// <summary>The ownership was refused: tells the source. The image stays as it is, complete, and the source may void it or vote again at a later version.</summary>
    /// <returns>False when the source could not be told.</returns>
    /// <exception cref="InvalidOperationException">No vote is open.</exception>
    public bool ReportRefused(string reason) => SettleVote(ReceiverState.Complete, _ => records!.Write(RecordType.Refused, RecordText.Write(reason)));

    /// <summary>Closes the connection and waits until the session's thread has ended: after that nothing writes to the shell's memory. A second call does nothing.</summary>
    public async ValueTask DisposeAsync()
    {
        bool claimed;
        lock (gate)
        {
            claimed = records is not null;
            state = ReceiverState.Ended;
            voteSettled?.TrySetResult();
        }

        forget(this);
        await ended.CancelAsync();
        Volatile.Read(ref close)?.Invoke();
        if (claimed)
        {
            await finished.Task;
        }

        events.Writer.TryComplete();
    }

    /// <summary>Makes the session the property of a source that has proved itself. False when it has one already, or has ended.</summary>
    internal bool TryClaim(RecordConnection connection, Action closeConnection)
    {
        lock (gate)
        {
            if (state != ReceiverState.Waiting)
            {
                return false;
            }

            state = ReceiverState.Connected;
            records = connection;
            Volatile.Write(ref close, closeConnection);
            return true;
        }
    }

    /// <summary>Receives until the migration stream ends. On the connection's thread, after <see cref="TryClaim"/>. Throws nothing: whatever ends it is the last event.</summary>
    internal void Run(EndPoint? peer)
    {
        ReceiverEvent? last = null;
        try
        {
            ReceiverSession session = new(this, records!, shell, time);
            records!.AllowData();
            records.BeforeRead = new Throttle(faults, time, ended.Token).BeforeRead;
            records.Write(RecordType.Welcome, []);
            Emit(new SourceConnected(peer));
            while (State != ReceiverState.Ended)
            {
                last = session.Handle(records.Read());
            }
        }
        catch (Exception) when (ended.IsCancellationRequested)
        {
            // Disposed: what breaks then, in the shell as well, says nothing about the source, and nobody wants another event.
            last = null;
        }
        catch (MigrationException failure)
        {
            last = Explain(failure);
        }
        catch (Exception failure)
        {
            last = Explain(new MigrationException(MigrationFault.MemoryFailed, $"The shell failed: {failure.Message}", failure));
        }
        finally
        {
            End(last);
        }
    }

    /// <summary>The session moves on, unless it was disposed between two records: nothing leads back from the end.</summary>
    internal void Move(ReceiverState next)
    {
        lock (gate)
        {
            state = state == ReceiverState.Ended ? ReceiverState.Ended : next;
        }
    }

    /// <summary>Has the owner keep what says that the image is whole.</summary>
    internal void Keep(ImageCompleted image)
    {
        try
        {
            keep?.Invoke(image);
        }
        catch (Exception failure)
        {
            throw new MigrationException(MigrationFault.MemoryFailed, $"The complete image could not be kept: {failure.Message}", failure);
        }
    }

    /// <summary>Hands an event to the owner, and waits while it has too many unread.</summary>
    internal void Emit(ReceiverEvent happened)
    {
        if (!events.Writer.TryWrite(happened))
        {
            events.Writer.WriteAsync(happened, ended.Token).AsTask().GetAwaiter().GetResult();
        }
    }

    /// <summary>Hands a vote to the owner and waits until it is settled, so that nothing can touch the image meanwhile.</summary>
    internal void AwaitVote(Vote vote)
    {
        TaskCompletionSource settled = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (gate)
        {
            if (state == ReceiverState.Ended)
            {
                return;
            }

            state = ReceiverState.Voted;
            openVote = vote;
            voteSettled = settled;
        }

        Emit(new VoteReceived(vote.OwnershipVersion, vote.Incarnation, vote.Epoch));
        settled.Task.GetAwaiter().GetResult();
    }

    private bool SettleVote(ReceiverState next, Action<Vote> tell)
    {
        lock (gate)
        {
            if (state != ReceiverState.Voted)
            {
                throw new InvalidOperationException($"No vote is open: the session is {state}.");
            }

            state = next;
        }

        try
        {
            tell(openVote!.Value);
            return true;
        }
        catch (MigrationException)
        {
            // The vote is settled in the machine's event stream, whether or not the source hears of it here; the caller is told that it does not.
            return false;
        }
        finally
        {
            voteSettled!.TrySetResult();
        }
    }

    /// <summary>Tells the source why its migration stream ends, where it is still there to be told.</summary>
    private MigrationFailed Explain(MigrationException failure)
    {
        if (failure.Fault is not (MigrationFault.ConnectionLost or MigrationFault.Injected or MigrationFault.Aborted))
        {
            try
            {
                records!.Write(RecordType.Abort, RecordText.Write($"{failure.Fault}: {failure.Message}"));
            }
            catch (MigrationException lost)
            {
                return new MigrationFailed(failure.Fault, $"{failure.Message} The source could not be told: {lost.Message}");
            }
        }

        return new MigrationFailed(failure.Fault, failure.Message);
    }

    private void End(ReceiverEvent? last)
    {
        Move(ReceiverState.Ended);
        close!();
        try
        {
            if (last is not null)
            {
                Emit(last);
            }
        }
        catch (Exception closed) when (closed is OperationCanceledException or ChannelClosedException)
        {
            // The owner disposed the session and reads no more; it knows that the migration stream is over.
            last = null;
        }
        finally
        {
            events.Writer.TryComplete();
            finished.TrySetResult();
        }
    }
}
