using System.Buffers.Binary;

namespace SpecMesh.DataPath;

/// <summary>What a target does with each record of a proven source. The states and what is legal in them: <see cref="ReceiverState"/>.</summary>
internal sealed class ReceiverSession(MigrationReceiver receiver, RecordConnection records, IImageShell shell, TimeProvider time)
{
    private const long AcknowledgeBytes = 4 * 1024 * 1024;
    private static readonly TimeSpan AcknowledgeInterval = TimeSpan.FromMilliseconds(100);

    private ImageWriter? image;
    private byte[]? state;
    private bool lastPagesAreIn;
    private long bytesReceived;
    private long acknowledgedBytes;
    private long acknowledgedAt = time.GetTimestamp();
    private long roundPages;
    private long roundZeroPages;
    private int rounds;
    private int incarnation = -1;
    private long votedVersion = -1;

    /// <summary>Handles the record that was just read.</summary>
    /// <returns>The last event, when the source ended the migration stream; otherwise null.</returns>
    /// <exception cref="MigrationException">The record is not legal here, or does not fit.</exception>
    public SourceAborted? Handle(RecordType type)
    {
        switch (type, receiver.State)
        {
            case (_, ReceiverState.Ended):
                break;
            case (RecordType.Setup, ReceiverState.Connected):
                OnSetup();
                break;
            case (RecordType.Data, ReceiverState.Receiving) when state is null:
                OnData();
                break;
            case (RecordType.RoundEnd, ReceiverState.Receiving) when state is null:
                OnRoundEnd(RoundEnd.Read(records.Payload));
                break;
            case (RecordType.State, ReceiverState.Receiving) when state is null && lastPagesAreIn:
                state = records.Payload.ToArray();
                break;
            case (RecordType.Complete, ReceiverState.Receiving):
                OnComplete(Complete.Read(records.Payload));
                break;
            case (RecordType.Void, ReceiverState.Receiving or ReceiverState.Complete):
                OnVoid(BinaryPrimitives.ReadInt32LittleEndian(records.Payload));
                break;
            case (RecordType.Vote, ReceiverState.Complete):
                OnVote(Vote.Read(records.Payload));
                break;
            case (RecordType.Abort, _):
                receiver.Move(ReceiverState.Ended);
                return new SourceAborted(RecordText.Read(records.Payload));
            default:
                throw new MigrationException(MigrationFault.OutOfOrder, $"A {type} record is not legal in the state {receiver.State}.");
        }

        return null;
    }

    /// <summary>The bytes that the image may need are bounded by the machine's memory, which both ends have proved to agree on.</summary>
    private void OnSetup()
    {
        long pageCount = Setup.ReadPageCount(records.Payload, receiver.Identity.MemoryBytes);
        IGuestMemory memory = shell.Open(pageCount, records.Payload[sizeof(long)..], receiver.Ended);
        if (memory.PageCount != pageCount)
        {
            throw new InvalidOperationException($"It has {memory.PageCount} pages, and the source's guest {pageCount}.");
        }

        image = new ImageWriter(memory);
        receiver.Move(ReceiverState.Receiving);
    }

    private void OnData()
    {
        lastPagesAreIn = false;
        (long pages, long zeroPages) = image!.Apply(records.Descriptors, records.Payload, records.PageHashes);
        roundPages += pages;
        roundZeroPages += zeroPages;
        bytesReceived += records.RecordBytes;
        receiver.BytesReceived = bytesReceived;
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
        lastPagesAreIn = end.Last;
        Acknowledge();
        receiver.Emit(new RoundApplied(end.Round, end.Last, end.Pages, end.ZeroPages, bytesReceived, image!.CoveredPages));
    }

    private void OnComplete(Complete complete)
    {
        if (roundPages != 0 || complete.Incarnation < Math.Max(incarnation, 0))
        {
            throw new MigrationException(
                MigrationFault.OutOfOrder, $"An image of incarnation {complete.Incarnation} cannot be complete: {roundPages} pages have no round, and incarnation {incarnation} has begun.");
        }

        if (!image!.IsWhole)
        {
            throw new MigrationException(MigrationFault.IncompleteImage, $"Only {image.CoveredPages} of {image.PageCount} pages have arrived.");
        }

        if (image.Digest != complete.Digest)
        {
            throw new MigrationException(
                MigrationFault.DigestMismatch, $"The image has the digest {ImageDigest.Format(image.Digest)}, and the source says {ImageDigest.Format(complete.Digest)}.");
        }

        shell.Complete(state, receiver.Ended);
        incarnation = complete.Incarnation;
        ImageCompleted completed = new(incarnation, ImageDigest.Format(image.Digest), complete.OwnershipVersion);
        receiver.Keep(completed);
        receiver.Move(ReceiverState.Complete);
        receiver.Emit(completed);
        byte[] body = new byte[Ready.Bytes];
        new Ready(receiver.Identity.Key.OperationId, receiver.Identity.Key.Replica, incarnation, image.Digest).Write(body);
        records.Write(RecordType.Ready, body);
    }

    private void OnVoid(int newIncarnation)
    {
        if (newIncarnation <= incarnation)
        {
            throw new MigrationException(MigrationFault.OutOfOrder, $"Incarnation {newIncarnation} cannot follow incarnation {incarnation}.");
        }

        if (receiver.State == ReceiverState.Complete)
        {
            shell.Reopen();
        }

        // A finish that was interrupted leaves pages without the end of their round; they are in the image all the same.
        (roundPages, roundZeroPages) = (0, 0);
        (state, lastPagesAreIn) = (null, false);
        Acknowledge();
        incarnation = newIncarnation;
        receiver.Move(ReceiverState.Receiving);
        receiver.Emit(new ImageVoided(newIncarnation));
        byte[] body = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(body, newIncarnation);
        records.Write(RecordType.Voided, body);
    }

    private void OnVote(Vote vote)
    {
        if (vote.Incarnation != incarnation || vote.Epoch != receiver.Identity.Key.Epoch || vote.OwnershipVersion <= votedVersion)
        {
            throw new MigrationException(
                MigrationFault.OutOfOrder, $"A vote for incarnation {vote.Incarnation} in epoch {vote.Epoch} at version {vote.OwnershipVersion} is stale.");
        }

        votedVersion = vote.OwnershipVersion;
        receiver.AwaitVote(vote);
    }

    private void Acknowledge()
    {
        acknowledgedBytes = bytesReceived;
        acknowledgedAt = time.GetTimestamp();
        Span<byte> body = stackalloc byte[Ack.Bytes];
        new Ack(bytesReceived, rounds).Write(body);
        records.Write(RecordType.Ack, body);
    }
}
