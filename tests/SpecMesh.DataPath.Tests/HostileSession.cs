using System.Buffers.Binary;

namespace SpecMesh.DataPath.Tests;

/// <summary>Bytes that a proven source might send, and what a receiver makes of them, without a socket.</summary>
internal sealed class HostileSession
{
    /// <summary>Pages of the small guest that the tests send.</summary>
    public const int Pages = 5;

    /// <summary>What one session may allocate, whatever it is sent: its buffers and its digest, and something for events and tasks.</summary>
    public const long AllocationCap = RecordFormat.MaxDataBytes + (RecordFormat.MaxDescriptors * 8) + (256 * 1024);

    private readonly SimulatedGuest shell = MakeShell();

    public SimulatedGuest Shell => shell;

    /// <summary>Memory of the machine, of which the small guest has every page.</summary>
    public const long MemoryBytes = Pages * IGuestMemory.PageBytes;

    /// <summary>What the source's driver says of the small guest.</summary>
    public static readonly byte[] Description = [1, 2, 3];

    public ShellOf Image { get; private set; } = null!;

    /// <summary>Bytes that the receiver took from the connection, after SETUP where the session sent one.</summary>
    public long BytesTaken { get; private set; }

    public long BytesAllocated { get; private set; }

    public List<ReceiverEvent> Events { get; } = [];

    /// <summary>What ended the session.</summary>
    public MigrationFailed Failure => Assert.IsType<MigrationFailed>(Events[^1]);

    public static SimulatedGuest MakeGuest()
    {
        SimulatedGuest guest = new(Pages);
        guest.GuestWrites(2, 16, 0xABCDEF);
        return guest;
    }

    public static SimulatedGuest MakeShell()
    {
        SimulatedGuest shell = new(Pages);
        shell.Populate(77);
        return shell;
    }

    /// <summary>The records of a whole small image after SETUP: pages, end of the round, complete. Sequence numbers are counted from behind SETUP here, as in <see cref="Control(RecordType, ulong, byte[])"/>.</summary>
    public static List<byte[]> ValidRecords()
    {
        SimulatedGuest guest = MakeGuest();
        ImageDigest digest = new(Pages);
        DataRecord data = new(guest, digest, IGuestMemory.PageBytes);
        PageBitmap taken = new(Pages);
        taken.SetAll();
        List<byte[]> records = [];
        for (long next = data.Fill(taken, 0); data.Pages > 0; next = data.Fill(taken, next))
        {
            records.Add(data.Seal((ulong)records.Count + 1).ToArray());
        }

        records.Add(Control(RecordType.RoundEnd, (ulong)records.Count, RoundEnd.Bytes, new RoundEnd(1, true, Pages, Pages - 1).Write));
        records.Add(Control(RecordType.Complete, (ulong)records.Count, Complete.Bytes, new Complete(digest.Value, 0, 0).Write));
        return records;
    }

    /// <summary>A record without pages, with a valid check.</summary>
    public static byte[] Control(RecordType type, ulong sequence, int bytes, SpanWriter write)
    {
        byte[] body = new byte[bytes];
        write(body);
        return Control(type, sequence, body);
    }

    public static byte[] Control(RecordType type, ulong sequence, byte[] body) => Raw(type, sequence + 1, body);

    /// <summary>SETUP, which comes first.</summary>
    public static byte[] SetupOf(long pageCount, byte[] description) => Raw(RecordType.Setup, 0, Setup.Write(pageCount, description));

    /// <summary>A record without pages, with the very sequence number that is given.</summary>
    public static byte[] Raw(RecordType type, ulong sequence, byte[] body)
    {
        byte[] record = new byte[RecordFormat.HeaderBytes + body.Length];
        RecordFormat.WriteHeader(record, new RecordHeader(type, 0, 0, body.Length, sequence));
        body.CopyTo(record, RecordFormat.HeaderBytes);
        WriteCheck(record, ~RecordFormat.Crc(RecordFormat.CheckOfHeader(record), body));
        return record;
    }

    /// <summary>A record with pages, with a valid check and whatever descriptors.</summary>
    public static byte[] Data(ulong sequence, ulong[] descriptors, int payloadPages)
    {
        byte[] record = new byte[RecordFormat.HeaderBytes + (8 * descriptors.Length) + (payloadPages * IGuestMemory.PageBytes)];
        RecordFormat.WriteHeader(record, new RecordHeader(RecordType.Data, descriptors.Length, 0, payloadPages * IGuestMemory.PageBytes, sequence + 1));
        for (int i = 0; i < descriptors.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(record.AsSpan(RecordFormat.HeaderBytes + (8 * i)), descriptors[i]);
        }

        Span<byte> payload = record.AsSpan(RecordFormat.HeaderBytes + (8 * descriptors.Length));
        payload.Fill(0x5A);
        ulong[] hashes = [.. Enumerable.Repeat(payloadPages > 0 ? PageHash.Compute(payload[..IGuestMemory.PageBytes]) : 0, payloadPages)];
        uint crc = RecordFormat.Crc(RecordFormat.CheckOfHeader(record), descriptors);
        WriteCheck(record, ~RecordFormat.Crc(crc, hashes));
        return record;
    }

    /// <summary>A receiver's whole life over these bytes, which follow SETUP.</summary>
    public static HostileSession Receive(params IEnumerable<byte[]> records)
    {
        byte[] setup = SetupOf(Pages, Description);
        HostileSession session = ReceiveAll([setup, .. records]);
        session.BytesTaken -= setup.Length;
        return session;
    }

    /// <summary>A receiver's whole life over these bytes and no others.</summary>
    public static HostileSession ReceiveAll(params IEnumerable<byte[]> records)
    {
        HostileSession session = new();
        Scripted connection = new([.. records.SelectMany(record => record)]);
        ReplicaIdentity identity = new(new ReplicaKey(Guid.Empty, 0, 7), "vm", MemoryBytes);
        session.Image = new ShellOf(session.shell);
        MigrationReceiver receiver = new(identity, new byte[ReplicaToken.Bytes], session.Image, new ReceiverFaults(), TimeProvider.System, _ => { });
        Assert.True(receiver.TryClaim(new RecordConnection(connection), () => { }));
        long before = GC.GetAllocatedBytesForCurrentThread();
        receiver.Run(null);
        session.BytesAllocated = GC.GetAllocatedBytesForCurrentThread() - before;
        session.BytesTaken = connection.Position;
        while (receiver.Events.TryRead(out ReceiverEvent? happened))
        {
            session.Events.Add(happened);
        }

        Assert.True(receiver.Events.Completion.IsCompleted);
        return session;
    }

    private static void WriteCheck(Span<byte> record, uint check) => BinaryPrimitives.WriteUInt32LittleEndian(record[RecordFormat.CheckOffset..], check);

    public delegate void SpanWriter(Span<byte> to);

    /// <summary>A connection whose other end has said everything already and does not listen.</summary>
    private sealed class Scripted(byte[] incoming) : MemoryStream(incoming)
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
        }
    }
}
