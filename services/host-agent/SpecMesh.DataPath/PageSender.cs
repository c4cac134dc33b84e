using SpecMesh.Contracts;

namespace SpecMesh.DataPath;

/// <summary>Sends one replica's pages, pass by pass, and counts what that costs. Works on the migration stream's thread; the counters may be read by any other.</summary>
internal sealed class PageSender(MigrationSenderOptions options, RecordConnection records, SenderInbox inbox, PendingPages pending, SenderThread thread, AcknowledgedRate rate)
{
    private readonly ImageDigest digest = new(options.DirtyLog.PageCount);
    private readonly long startedAt = options.Time.GetTimestamp();
    private DataRecord? record;
    private MigrationException? interruption;
    private long bytesSent;
    private long pagesSent;
    private long remaining;
    private int roundInProgress;
    private int rounds;

    /// <summary>Digest of every page as it was sent last.</summary>
    public ulong Digest => digest.Value;

    /// <summary>What the replica has cost so far.</summary>
    public ReplicaCounters Counters => new(
        Volatile.Read(ref bytesSent), Volatile.Read(ref pagesSent), Volatile.Read(ref rounds), thread.CpuTime.TotalMilliseconds, options.Time.GetElapsedTime(startedAt).TotalMilliseconds);

    /// <summary>How far the replica is.</summary>
    public SenderProgress Progress => new(
        Volatile.Read(ref roundInProgress),
        Volatile.Read(ref pagesSent),
        Volatile.Read(ref bytesSent),
        inbox.AcknowledgedBytes,
        pending.PendingCount + Volatile.Read(ref remaining),
        rate.BytesPerSecond);

    /// <summary>While set, a last pass ends with this at its next record.</summary>
    public MigrationException? Interruption
    {
        get => Volatile.Read(ref interruption);
        set => Volatile.Write(ref interruption, value);
    }

    /// <summary>A round: harvests, takes what is pending, sends it and the end of the round.</summary>
    public SenderPass SendRound()
    {
        SenderPass pass = Begin(final: false);
        pending.TakeForRound();
        return SendTaken(pass, final: false);
    }

    /// <summary>The last pass: sends pages that were taken by <see cref="PendingPages.TakeForFinish"/>, the end of the round, the state of the processors and COMPLETE.</summary>
    /// <exception cref="MigrationException">Voided: the guest did not stay suspended.</exception>
    public SenderPass SendLast(int incarnation, long ownershipVersion)
    {
        SenderPass pass = SendTaken(Begin(final: true), final: true);
        byte[] state = ReadState(incarnation);
        if (state.Length > 0)
        {
            pass.Bytes += Write(RecordType.State, state);
        }

        byte[] body = new byte[Complete.Bytes];
        new Complete(Digest, incarnation, ownershipVersion).Write(body);
        pass.Bytes += Write(RecordType.Complete, body);
        return pass;
    }

    /// <summary>Accounts for a pass that the target has acknowledged.</summary>
    /// <param name="pass">The pass.</param>
    /// <param name="pendingAfter">Pages that the replica still needs.</param>
    public RoundResult End(SenderPass pass, long pendingAfter) => pass.End(options.DirtyLog.Rate, pendingAfter, rate.BytesPerSecond, thread.CpuTime);

    /// <summary>Lets go of the staging buffer: no further pass.</summary>
    public void Close() => record?.Dispose();

    /// <summary>No pass is running: nothing remains of one that ended early.</summary>
    public void ForgetRemaining() => Volatile.Write(ref remaining, 0);

    /// <summary>Writes a record without pages.</summary>
    /// <returns>Bytes written.</returns>
    public int Write(RecordType type, byte[] body)
    {
        records.Write(type, body);
        Interlocked.Add(ref bytesSent, RecordFormat.HeaderBytes + body.Length);
        return RecordFormat.HeaderBytes + body.Length;
    }

    /// <summary>The state belongs to the pages only if the guest stood still before it was read and after.</summary>
    private byte[] ReadState(int incarnation)
    {
        byte[] state = [];
        try
        {
            state = options.DirtyLog.IsFinal(incarnation) ? options.ReadState?.Invoke() ?? [] : [];
        }
        catch (Exception) when (!options.DirtyLog.IsFinal(incarnation))
        {
            // It was being resumed meanwhile, which is said below.
            state = [];
        }

        if (!options.DirtyLog.IsFinal(incarnation))
        {
            throw new MigrationException(MigrationFault.Voided, $"The guest did not stay suspended in incarnation {incarnation}.");
        }

        return state.Length <= RecordFormat.MaxBlobBytes
            ? state
            : throw new MigrationException(MigrationFault.MemoryFailed, $"The state of the guest's processors has at most {RecordFormat.MaxBlobBytes} bytes, and not {state.Length}.");
    }

    private SenderPass Begin(bool final)
    {
        // The staging buffer is made on first use, by the thread that fills it.
        record ??= new DataRecord(options.Memory, digest, options.ChunkBytes);
        thread.SampleCpu();
        SenderPass pass = new(options.Time, rounds + 1, final, options.DirtyLog.Rate, thread.CpuTime);
        Volatile.Write(ref roundInProgress, pass.Round);
        return pass;
    }

    private SenderPass SendTaken(SenderPass pass, bool final)
    {
        Volatile.Write(ref remaining, pending.Taken.PopCount);
        long next = 0;
        while (true)
        {
            if (final && Interruption is { } voided)
            {
                throw voided;
            }

            next = record!.Fill(pending.Taken, next);
            if (record.Pages == 0)
            {
                break;
            }

            SendRecord(pass);
        }

        byte[] body = new byte[RoundEnd.Bytes];
        new RoundEnd(pass.Round, final, pass.Pages, pass.ZeroPages).Write(body);
        pass.Bytes += Write(RecordType.RoundEnd, body);
        Volatile.Write(ref rounds, pass.Round);
        return pass;
    }

    private void SendRecord(SenderPass pass)
    {
        inbox.DataSent(record!.WireBytes);
        int bytes = records.WriteData(record);
        pass.Bytes += bytes;
        pass.Pages += record.Pages;
        pass.ZeroPages += record.ZeroPages;
        Interlocked.Add(ref bytesSent, bytes);
        Interlocked.Add(ref pagesSent, record.Pages);
        Interlocked.Add(ref remaining, -record.Pages);
        thread.SampleCpu();
    }
}
