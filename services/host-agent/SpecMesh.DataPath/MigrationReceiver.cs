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
    private const long AcknowledgeBytes = 4 * 1024 * 1024;
    private static readonly TimeSpan AcknowledgeInterval = TimeSpan.FromMilliseconds(100);

    private readonly Lock gate = new();
    private readonly CancellationTokenSource ended = new();
    private readonly TaskCompletionSource finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Channel<ReceiverEvent> events = Channel.CreateBounded<ReceiverEvent>(MaxWaitingEvents);
    private readonly ImageWriter image;
    private readonly IGuestMemory memory;
    private readonly ReceiverFaults faults;
    private readonly TimeProvider time;
    private readonly Action<MigrationReceiver> forget;
    private ReceiverState state;
    private TaskCompletionSource? voteSettled;
    private RecordStream? records;
    private Action? close;
    private long bytesReceived;
    private long acknowledgedBytes;
    private long acknowledgedAt;
    private long roundPages;
    private long roundZeroPages;
    private int rounds;
    private int incarnation = -1;
    private long votedVersion = -1;

    internal MigrationReceiver(ReplicaIdentity identity, byte[] token, IGuestMemory memory, ReceiverFaults faults, TimeProvider time, Action<MigrationReceiver> forget)
    {
        if (identity.MemoryBytes != memory.PageCount * IGuestMemory.PageBytes)
        {
            throw new ArgumentException($"The shell has {memory.PageCount} pages, and the image {identity.MemoryBytes} bytes.", nameof(memory));
        }

        Identity = identity;
        Token = token;
        this.memory = memory;
        this.faults = faults;
        this.time = time;
        this.forget = forget;
        image = new ImageWriter(memory);
    }

    /// <summary>Which replica this is.</summary>
    public ReplicaIdentity Identity { get; }

    /// <summary>What happens, in order. Completes after <see cref="StreamAborted"/>, <see cref="StreamFailed"/>, a resumed guest, or disposal.</summary>
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
    public long BytesReceived => Volatile.Read(ref bytesReceived);

    internal byte[] Token { get; }

    /// <summary>The guest runs here, and the ownership is durable: tells the source and ends the migration stream. Call it only after the commit.</summary>
    /// <returns>False when the source could not be told; the event stream tells it.</returns>
    /// <exception cref="InvalidOperationException">No vote is open.</exception>
    public bool ReportResumed()
    {
        byte[] body = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(body, incarnation);
        return SettleVote(ReceiverState.Ended, RecordType.Resumed, body);
    }

    /// <summary>The ownership was refused: tells the source. The image stays as it is, complete, and the source may void it or vote again at a later version.</summary>
    /// <returns>False when the source could not be told.</returns>
    /// <exception cref="InvalidOperationException">No vote is open.</exception>
    public bool ReportRefused(string reason) => SettleVote(ReceiverState.Complete, RecordType.Refused, RecordText.Write(reason));

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
    internal bool TryClaim(RecordStream stream, Action closeConnection)
    {
        lock (gate)
        {
            if (state != ReceiverState.Waiting)
            {
                return false;
            }

            state = ReceiverState.Receiving;
            records = stream;
            Volatile.Write(ref close, closeConnection);
            return true;
        }
    }

    /// <summary>Receives until the migration stream ends. On the connection's thread, after <see cref="TryClaim"/>.</summary>
    internal void Run(EndPoint? peer)
    {
        ReceiverEvent? last = null;
        try
        {
            records!.AllowData();
            records.BeforeRead = new Throttle(faults, time, ended.Token).BeforeRead;
            acknowledgedAt = time.GetTimestamp();
            records.Write(RecordType.Welcome, []);
            Emit(new StreamConnected(peer));
            while (State != ReceiverState.Ended)
            {
                last = Handle(records.Read());
            }
        }
        catch (MigrationException failure)
        {
            last = Explain(failure);
        }
        catch (Exception failure) when (failure is not OperationCanceledException || !ended.IsCancellationRequested)
        {
            last = Explain(new MigrationException(MigrationFault.MemoryFailed, $"The shell's memory could not be written: {failure.Message}", failure));
        }
        catch (OperationCanceledException)
        {
            // Disposed while an event waited for its reader: nobody wants another one.
            last = null;
        }
        finally
        {
            End(last);
        }
    }

    private StreamAborted? Handle(RecordType type)
    {
        switch (type, State)
        {
            case (_, ReceiverState.Ended):
                return null;
            case (RecordType.Data, ReceiverState.Receiving):
                OnData();
                return null;
            case (RecordType.RoundEnd, ReceiverState.Receiving):
                OnRoundEnd(RoundEnd.Read(records!.Payload));
                return null;
            case (RecordType.Complete, ReceiverState.Receiving):
                OnComplete(Complete.Read(records!.Payload));
                return null;
            case (RecordType.Void, ReceiverState.Receiving or ReceiverState.Complete):
                OnVoid(BinaryPrimitives.ReadInt32LittleEndian(records!.Payload));
                return null;
            case (RecordType.Vote, ReceiverState.Complete):
                OnVote(Vote.Read(records!.Payload));
                return null;
            case (RecordType.Abort, _):
                Move(ReceiverState.Ended);
                return new StreamAborted(RecordText.Read(records!.Payload));
            default:
                throw new MigrationException(MigrationFault.OutOfOrder, $"A {type} record is not legal in the state {State}.");
        }
    }

    private void OnData()
    {
        (long pages, long zeroPages) = image.Apply(records!.Descriptors, records.Payload, records.PageHashes);
        roundPages += pages;
        roundZeroPages += zeroPages;
        Volatile.Write(ref bytesReceived, bytesReceived + records.RecordBytes);
        if (bytesReceived - acknowledgedBytes >= AcknowledgeBytes || time.GetElapsedTime(acknowledgedAt) >= AcknowledgeInterval)
        {
            Acknowledge();
        }
    }

    private void OnRoundEnd(RoundEnd end)
    {
        if (end.Round != rounds + 1 || end.Pages != roundPages || end.ZeroPages != roundZeroPages)
        {
            throw new MigrationException(MigrationFault.OutOfOrder, $"The end of round {end.Round} with {end.Pages} pages came after {rounds} rounds and {roundPages} pages.");
        }

        rounds++;
        (roundPages, roundZeroPages) = (0, 0);
        Acknowledge();
        Emit(new StreamRoundEnded(end.Round, end.Last, end.Pages, end.ZeroPages, bytesReceived, image.CoveredPages));
    }

    private void OnComplete(Complete complete)
    {
        if (roundPages != 0 || complete.Incarnation < Math.Max(incarnation, 0))
        {
            throw new MigrationException(MigrationFault.OutOfOrder, $"An image of incarnation {complete.Incarnation} cannot be complete here: {roundPages} pages have no round, and incarnation {incarnation} has begun.");
        }

        if (!image.IsWhole)
        {
            throw new MigrationException(MigrationFault.IncompleteImage, $"Only {image.CoveredPages} of {memory.PageCount} pages have arrived.");
        }

        if (image.Digest != complete.Digest)
        {
            throw new MigrationException(MigrationFault.DigestMismatch, $"The image has the digest {ImageDigest.Format(image.Digest)}, and the source says {ImageDigest.Format(complete.Digest)}.");
        }

        incarnation = complete.Incarnation;
        Move(ReceiverState.Complete);
        Emit(new ImageCompleted(incarnation, ImageDigest.Format(image.Digest)));
        byte[] body = new byte[Ready.Bytes];
        new Ready(Identity.Key.OperationId, Identity.Key.Replica, incarnation, image.Digest).Write(body);
        records!.Write(RecordType.Ready, body);
    }

    private void OnVoid(int newIncarnation)
    {
        if (newIncarnation <= incarnation)
        {
            throw new MigrationException(MigrationFault.OutOfOrder, $"Incarnation {newIncarnation} cannot follow incarnation {incarnation}.");
        }

        // A finish that was interrupted leaves pages without the end of their round; they are in the image all the same.
        (roundPages, roundZeroPages) = (0, 0);
        incarnation = newIncarnation;
        Move(ReceiverState.Receiving);
        Emit(new ImageVoided(newIncarnation));
        byte[] body = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(body, newIncarnation);
        records!.Write(RecordType.Voided, body);
    }

    private void OnVote(Vote vote)
    {
        if (vote.Incarnation != incarnation || vote.Epoch != Identity.Key.Epoch || vote.OwnershipVersion <= votedVersion)
        {
            throw new MigrationException(MigrationFault.OutOfOrder, $"A vote for incarnation {vote.Incarnation} in epoch {vote.Epoch} at version {vote.OwnershipVersion} is stale.");
        }

        votedVersion = vote.OwnershipVersion;
        TaskCompletionSource settled = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (gate)
        {
            if (state == ReceiverState.Ended)
            {
                return;
            }

            state = ReceiverState.Voted;
            voteSettled = settled;
        }

        Emit(new VoteReceived(vote.OwnershipVersion, vote.Incarnation, vote.Epoch));
        settled.Task.GetAwaiter().GetResult();
    }

    private bool SettleVote(ReceiverState next, RecordType answer, byte[] body)
    {
        TaskCompletionSource settled;
        lock (gate)
        {
            if (state != ReceiverState.Voted)
            {
                throw new InvalidOperationException($"No vote is open: the session is {state}.");
            }

            state = next;
            settled = voteSettled!;
        }

        try
        {
            records!.Write(answer, body);
            return true;
        }
        catch (MigrationException)
        {
            // The vote is settled in the machine's event stream, whether or not the source hears of it here; the caller is told that it does not.
            return false;
        }
        finally
        {
            settled.TrySetResult();
        }
    }

    private void Acknowledge()
    {
        acknowledgedBytes = bytesReceived;
        acknowledgedAt = time.GetTimestamp();
        Span<byte> body = stackalloc byte[Ack.Bytes];
        new Ack(bytesReceived, rounds).Write(body);
        records!.Write(RecordType.Ack, body);
    }

    private void Move(ReceiverState next)
    {
        lock (gate)
        {
            // Disposal may come between two records; nothing leads back from the end.
            state = state == ReceiverState.Ended ? ReceiverState.Ended : next;
        }
    }

    /// <summary>Hands an event to the owner, and waits while it has too many unread.</summary>
    private void Emit(ReceiverEvent happened)
    {
        if (!events.Writer.TryWrite(happened))
        {
            events.Writer.WriteAsync(happened, ended.Token).AsTask().GetAwaiter().GetResult();
        }
    }

    /// <summary>Tells the source why its migration stream ends, where it is still there to be told.</summary>
    private StreamFailed Explain(MigrationException failure)
    {
        if (failure.Fault is not (MigrationFault.ConnectionLost or MigrationFault.Injected or MigrationFault.Aborted))
        {
            try
            {
                records!.Write(RecordType.Abort, RecordText.Write($"{failure.Fault}: {failure.Message}"));
            }
            catch (MigrationException lost)
            {
                return new StreamFailed(failure.Fault, $"{failure.Message} The source could not be told: {lost.Message}");
            }
        }

        return new StreamFailed(failure.Fault, failure.Message);
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
