using System.Buffers.Binary;
using SpecMesh.Contracts;

namespace SpecMesh.DataPath;

/// <summary>
/// The source's end of one replica's migration stream. Its owner commands it: rounds, the last pages, a vote or a void, one command at a time (<see cref="VoidAsync"/> alone
/// may interrupt a finish). A thread of its own sends, another reads what the target says; neither is shared, so a slow or hung target costs its own bitmap and nothing else.
/// Cancelling a command closes the connection, because half a record cannot be taken back: the migration stream is dead then, and the replica with it.
/// </summary>
public sealed class MigrationSender : IAsyncDisposable
{
    private readonly SenderConnection connection = new();
    private readonly SemaphoreSlim command = new(1, 1);
    private readonly MigrationSenderOptions options;
    private readonly SenderThread thread;
    private readonly AcknowledgedRate rate;
    private SenderInbox? inbox;
    private PendingPages? pending;
    private PageSender? pages;
    private int? readyIncarnation;
    private long votedVersion = -1;
    private bool disposed;

    private MigrationSender(MigrationSenderOptions options)
    {
        this.options = options;
        rate = new AcknowledgedRate(options.Time);
        thread = new SenderThread($"migration {options.Identity.Key.Replica} of {options.Identity.VmId}");
    }

    /// <summary>What the replica has cost so far. May be read at any time, from any thread.</summary>
    public ReplicaCounters Counters => Connected.Counters;

    /// <summary>How far the replica is. May be read at any time, from any thread.</summary>
    public SenderProgress Progress => Connected.Progress;

    /// <summary>Set once by <see cref="Open"/>, before anybody gets the sender.</summary>
    private PageSender Connected => pages!;

    private SenderInbox Inbox => inbox!;

    private PendingPages Pending => pending!;

    /// <summary>Connects to the target, proves both ends to each other and joins the dirty log: every page is pending.</summary>
    /// <exception cref="MigrationException">The target cannot be reached, does not answer in time, or is not the one that it should be.</exception>
    /// <exception cref="DirtyLogException">The dirty log cannot be started.</exception>
    public static async Task<MigrationSender> ConnectAsync(MigrationSenderOptions options, CancellationToken cancellationToken)
    {
        long pageCount = options.DirtyLog.PageCount;
        if (options.Memory.PageCount != pageCount)
        {
            throw new ArgumentException("Memory and dirty log do not agree on the size of the guest.", nameof(options));
        }

        if (options.Setup.Length > RecordFormat.MaxBlobBytes)
        {
            throw new ArgumentException($"What a driver says of its guest has at most {RecordFormat.MaxBlobBytes} bytes, and not {options.Setup.Length}.", nameof(options));
        }

        MigrationSender sender = new(options);
        try
        {
            await sender.thread.RunAsync(() => sender.Open(cancellationToken));
            return sender;
        }
        catch
        {
            await sender.DisposeAsync();
            throw;
        }
    }

    /// <summary>One round: harvest, take what is pending, send it, and wait until the target has applied it.</summary>
    /// <exception cref="MigrationException">The migration stream has failed.</exception>
    /// <exception cref="InvalidOperationException">Another command runs, or the replica is complete: void it first.</exception>
    public async Task<RoundResult> RunRoundAsync(CancellationToken cancellationToken)
    {
        using Turn turn = Begin(readyIncarnation is null, "The image is complete.");
        return await GuardAsync(
            async () =>
            {
                SenderPass pass = await thread.RunAsync(Connected.SendRound);
                await Inbox.RoundAcknowledged(pass.Round);
                Pending.Acknowledge();
                return await thread.RunAsync(() => Connected.End(pass, Pending.MeasurePending()));
            },
            cancellationToken);
    }

    /// <summary>
    /// Sends the last pages of an image and has the target verify it. Legal only after <see cref="DirtyLogOwner.FinalHarvest"/> for this incarnation, with the guest suspended.
    /// Returns when both ends have the same digest and I4 of <see cref="DirtyLogOwner"/> holds.
    /// </summary>
    /// <param name="incarnation">Incarnation that the guest is suspended in.</param>
    /// <param name="ownershipVersion">Version of the machine's event stream that the image belongs to: a later refusal of the owner makes it void.</param>
    /// <param name="cancellationToken">Ends the wait; the migration stream has failed then.</param>
    /// <exception cref="InvalidOperationException">There was no final harvest for this incarnation since the guest was suspended, or another command runs. Nothing was sent.</exception>
    /// <exception cref="MigrationException"><see cref="MigrationFault.Voided"/>: the guest is being resumed; call <see cref="VoidAsync"/>. Anything else: the migration stream has failed.</exception>
    public async Task<ReadyResult> FinishAsync(int incarnation, long ownershipVersion, CancellationToken cancellationToken)
    {
        using Turn turn = Begin(readyIncarnation is null, "The image is complete.");
        Pending.TakeForFinish(incarnation);
        return await GuardAsync(
            async () =>
            {
                Task<Ready> answer = Inbox.ExpectReady();
                SenderPass pass = await thread.RunAsync(() => Connected.SendLast(incarnation, ownershipVersion));
                Ready ready = await answer;
                if (ready.Digest != Connected.Digest || ready.Incarnation != incarnation)
                {
                    throw new MigrationException(MigrationFault.DigestMismatch, "The target is ready with another image than the one that was sent.");
                }

                Pending.Acknowledge();
                if (!Pending.IsComplete(incarnation))
                {
                    throw new MigrationException(MigrationFault.Voided, $"The guest did not stay suspended in incarnation {incarnation}.");
                }

                readyIncarnation = incarnation;
                return new ReadyResult(incarnation, ImageDigest.Format(ready.Digest), Connected.End(pass, pendingAfter: 0));
            },
            cancellationToken);
    }

    /// <summary>
    /// The source resumes the guest: whatever image the target holds is void. Interrupts a finish; waits for a round. Returns when the target has confirmed that it holds no
    /// complete image any more. Call it after <see cref="DirtyLogOwner.EndSuspend"/>.
    /// </summary>
    /// <param name="newIncarnation">Incarnation that the guest runs in from now on, above every one before.</param>
    /// <exception cref="MigrationException">The migration stream has failed.</exception>
    public async Task VoidAsync(int newIncarnation, CancellationToken cancellationToken)
    {
        MigrationException voided = new(MigrationFault.Voided, $"The guest is resumed in incarnation {newIncarnation}: the image is void.");
        Connected.Interruption = voided;
        Inbox.InterruptReady(voided);
        using CancellationTokenRegistration cancelled = cancellationToken.Register(CloseCancelled);
        await command.WaitAsync(cancellationToken);
        using Turn turn = new(this);
        Connected.Interruption = null;
        readyIncarnation = null;
        await GuardAsync(
            async () =>
            {
                Task answer = Inbox.ExpectVoided(newIncarnation);
                byte[] body = new byte[sizeof(int)];
                BinaryPrimitives.WriteInt32LittleEndian(body, newIncarnation);
                await thread.RunAsync(() => Connected.Write(RecordType.Void, body));
                await answer;
                return true;
            },
            cancellationToken);
    }

    /// <summary>Gives the vote. The caller has written it to its journal. Returns when it is handed to the connection, which does not mean that it arrives.</summary>
    /// <param name="ownershipVersion">Version of the machine's event stream at which the target may append; above every one voted at before on this migration stream.</param>
    /// <param name="incarnation">The incarnation that <see cref="FinishAsync"/> returned.</param>
    /// <param name="epoch">Epoch of the operation.</param>
    /// <exception cref="InvalidOperationException">The image is not complete in this incarnation, the guest does not stand still, or a vote was given at this version already.</exception>
    public async Task VoteAsync(long ownershipVersion, int incarnation, int epoch, CancellationToken cancellationToken)
    {
        using Turn turn = Begin(readyIncarnation == incarnation && Pending.IsComplete(incarnation), $"The image is not complete in incarnation {incarnation}.");
        if (epoch != options.Identity.Key.Epoch || ownershipVersion <= votedVersion)
        {
            throw new InvalidOperationException($"A vote in epoch {epoch} at version {ownershipVersion} is stale: the epoch is {options.Identity.Key.Epoch}, and version {votedVersion} was voted at.");
        }

        votedVersion = ownershipVersion;
        await GuardAsync(
            async () =>
            {
                Inbox.ExpectVote(incarnation);
                byte[] body = new byte[Vote.Bytes];
                new Vote(ownershipVersion, incarnation, epoch).Write(body);
                return await thread.RunAsync(() => Connected.Write(RecordType.Vote, body));
            },
            cancellationToken);
    }

    /// <summary>What the target says about the last vote. Best effort: on any exception the machine's event stream must be read. Cancelling does not end the migration stream.</summary>
    /// <exception cref="MigrationException">The migration stream ended without a word about it.</exception>
    public Task<VoteOutcome> WaitResumedAsync(CancellationToken cancellationToken) => Inbox.VoteOutcome.WaitAsync(cancellationToken);

    /// <summary>Ends the migration stream, telling the target why if that is possible at once. The replica stays in the dirty log until <see cref="DisposeAsync"/>.</summary>
    public async Task AbortAsync(string reason)
    {
        if (!disposed && await command.WaitAsync(TimeSpan.Zero))
        {
            using Turn turn = new(this);
            await thread.RunAsync(() =>
            {
                connection.SendAbort(reason);
                return true;
            });
        }

        Close(new MigrationException(MigrationFault.Aborted, reason));
    }

    /// <summary>Closes the connection, leaves the dirty log and ends the threads. After it returns nothing reads the guest's memory for this replica. A second call does nothing.</summary>
    public async ValueTask DisposeAsync()
    {
        Close(new MigrationException(MigrationFault.Aborted, "The migration stream was closed."));
        await command.WaitAsync();
        using Turn turn = new(this);
        if (!disposed)
        {
            disposed = true;
            pending?.Dispose();
            pages?.Close();
            thread.Dispose();
        }
    }

    private bool Open(CancellationToken cancellationToken)
    {
        connection.Open(options, cancellationToken);
        inbox = new SenderInbox(connection.Records, options.Identity.Key, rate, connection.Dispose);
        new Thread(inbox.Run) { Name = $"{Thread.CurrentThread.Name}, inbox", IsBackground = true }.Start();
        pending = options.DirtyLog.Join();
        pages = new PageSender(options, connection.Records, inbox, pending, thread, rate);
        return true;
    }

    /// <summary>Runs a command's work: whatever ends it early, the pages that were taken are pending again, and anything but a void ends the migration stream.</summary>
    private async Task<T> GuardAsync<T>(Func<Task<T>> work, CancellationToken cancellationToken)
    {
        using CancellationTokenRegistration cancelled = cancellationToken.Register(CloseCancelled);
        try
        {
            return await work();
        }
        catch (MigrationException voided) when (voided.Fault == MigrationFault.Voided)
        {
            Pending.Return();
            throw;
        }
        catch (Exception failure)
        {
            Pending.Return();
            MigrationException reason = failure as MigrationException ?? new MigrationException(MigrationFault.MemoryFailed, failure.Message, failure);
            reason = Close(reason);
            cancellationToken.ThrowIfCancellationRequested();
            throw reason;
        }
        finally
        {
            Connected.ForgetRemaining();
        }
    }

    private Turn Begin(bool legal, string otherwise)
    {
        if (!command.Wait(0, CancellationToken.None))
        {
            throw new InvalidOperationException("Another command of this migration stream is still running.");
        }

        if (!legal)
        {
            command.Release();
            throw new InvalidOperationException(otherwise);
        }

        return new Turn(this);
    }

    private void CloseCancelled() => Close(new MigrationException(MigrationFault.Aborted, "The command was cancelled."));

    private MigrationException Close(MigrationException reason)
    {
        MigrationException first = inbox?.Fail(reason) ?? reason;
        connection.Dispose();
        return first;
    }

    /// <summary>The right to command the migration stream, until it is disposed.</summary>
    private readonly struct Turn(MigrationSender sender) : IDisposable
    {
        public void Dispose() => sender.command.Release();
    }
}
