using System.Buffers.Binary;

namespace SpecMesh.DataPath;

/// <summary>
/// What the target says on one migration stream, read by a thread of its own, and the tasks that wait for it. Everything the target may say unasked is checked here.
/// </summary>
internal sealed class SenderInbox(RecordConnection records, ReplicaKey key, AcknowledgedRate rate, Action closeConnection)
{
    private readonly Lock gate = new();
    private MigrationException? failure;
    private TaskCompletionSource? roundWaiter;
    private TaskCompletionSource<Ready>? readyWaiter;
    private TaskCompletionSource? voidedWaiter;
    private TaskCompletionSource<VoteOutcome>? voteWaiter;
    private long acknowledgedBytes;
    private long sentBytes;
    private int acknowledgedRounds;
    private int awaitedRounds;
    private int voidIncarnation = -1;
    private int voteIncarnation;

    /// <summary>Bytes of page records that the target has applied.</summary>
    public long AcknowledgedBytes => Volatile.Read(ref acknowledgedBytes);

    /// <summary>Page records of this size are about to be sent: the target cannot acknowledge more than that.</summary>
    public void DataSent(int bytes)
    {
        Interlocked.Add(ref sentBytes, bytes);
        rate.Sent(bytes);
    }

    /// <summary>Completes when the target has applied everything up to the end of this round.</summary>
    public Task RoundAcknowledged(int round)
    {
        lock (gate)
        {
            roundWaiter = Open(roundWaiter);
            awaitedRounds = round;
            if (acknowledgedRounds >= round)
            {
                roundWaiter.TrySetResult();
            }

            return roundWaiter.Task;
        }
    }

    /// <summary>Opens the wait for READY; call it before COMPLETE is sent.</summary>
    public Task<Ready> ExpectReady()
    {
        lock (gate)
        {
            return (readyWaiter = Open(readyWaiter)).Task;
        }
    }

    /// <summary>Ends a wait for READY: the image is not wanted any more.</summary>
    public void InterruptReady(MigrationException voided)
    {
        lock (gate)
        {
            readyWaiter?.TrySetException(voided);
        }
    }

    /// <summary>Opens the wait for VOIDED; call it before VOID is sent.</summary>
    public Task ExpectVoided(int incarnation)
    {
        lock (gate)
        {
            voidIncarnation = incarnation;
            return (voidedWaiter = Open(voidedWaiter)).Task;
        }
    }

    /// <summary>Opens the wait for what becomes of a vote.</summary>
    public void ExpectVote(int incarnation)
    {
        lock (gate)
        {
            voteIncarnation = incarnation;
            voteWaiter = Open(voteWaiter);
        }
    }

    /// <summary>What became of the last vote.</summary>
    public Task<VoteOutcome> VoteOutcome
    {
        get
        {
            lock (gate)
            {
                return voteWaiter?.Task ?? throw new InvalidOperationException("No vote was given.");
            }
        }
    }

    /// <summary>Ends every wait. The first reason is the one that counts.</summary>
    public MigrationException Fail(MigrationException reason)
    {
        lock (gate)
        {
            failure ??= reason;
            roundWaiter?.TrySetException(failure);
            readyWaiter?.TrySetException(failure);
            voidedWaiter?.TrySetException(failure);
            voteWaiter?.TrySetException(failure);
            return failure;
        }
    }

    /// <summary>Reads until the migration stream ends.</summary>
    public void Run()
    {
        try
        {
            while (true)
            {
                Handle(records.Read());
            }
        }
        catch (MigrationException reason)
        {
            // The sending thread may be blocked on a target that has just become useless: closing frees it.
            Fail(reason);
            closeConnection();
        }
    }

    private void Handle(RecordType type)
    {
        lock (gate)
        {
            switch (type)
            {
                case RecordType.Ack:
                    OnAck(Ack.Read(records.Payload));
                    break;
                case RecordType.Ready:
                    OnReady(Ready.Read(records.Payload));
                    break;
                case RecordType.Voided:
                    Require(BinaryPrimitives.ReadInt32LittleEndian(records.Payload) == voidIncarnation && voidedWaiter?.TrySetResult() == true, type);
                    break;
                case RecordType.Resumed:
                    Require(BinaryPrimitives.ReadInt32LittleEndian(records.Payload) == voteIncarnation && voteWaiter?.TrySetResult(new VoteOutcome(true, null)) == true, type);
                    break;
                case RecordType.Refused:
                    Require(voteWaiter?.TrySetResult(new VoteOutcome(false, RecordText.Read(records.Payload))) == true, type);
                    break;
                case RecordType.Abort:
                    throw new MigrationException(MigrationFault.AbortedByPeer, RecordText.Read(records.Payload));
                default:
                    Require(false, type);
                    break;
            }
        }
    }

    private void OnAck(Ack ack)
    {
        Require(ack.AppliedBytes >= acknowledgedBytes && ack.AppliedBytes <= Volatile.Read(ref sentBytes), RecordType.Ack);
        Require(ack.Rounds >= acknowledgedRounds, RecordType.Ack);
        rate.Acknowledged(ack.AppliedBytes - acknowledgedBytes);
        Volatile.Write(ref acknowledgedBytes, ack.AppliedBytes);
        acknowledgedRounds = ack.Rounds;
        if (acknowledgedRounds >= awaitedRounds)
        {
            roundWaiter?.TrySetResult();
        }
    }

    private void OnReady(Ready ready)
    {
        Require(ready.OperationId == key.OperationId && ready.Replica == key.Replica, RecordType.Ready);

        // A READY may cross a VOID on its way; that is why the wait may have ended already.
        Require(readyWaiter is not null, RecordType.Ready);
        readyWaiter!.TrySetResult(ready);
    }

    private TaskCompletionSource Open(TaskCompletionSource? last)
    {
        TaskCompletionSource next = last is { Task.IsCompleted: false } ? last : new(TaskCreationOptions.RunContinuationsAsynchronously);
        if (failure is not null)
        {
            next.TrySetException(failure);
        }

        return next;
    }

    private TaskCompletionSource<T> Open<T>(TaskCompletionSource<T>? last)
    {
        TaskCompletionSource<T> next = last is { Task.IsCompleted: false } ? last : new(TaskCreationOptions.RunContinuationsAsynchronously);
        if (failure is not null)
        {
            next.TrySetException(failure);
        }

        return next;
    }

    private static void Require(bool legal, RecordType type)
    {
        if (!legal)
        {
            throw new MigrationException(MigrationFault.OutOfOrder, $"The target sent a {type} record that nothing asked for, or that does not fit.");
        }
    }
}
