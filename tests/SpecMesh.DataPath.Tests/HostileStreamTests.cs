using System.Buffers.Binary;

namespace SpecMesh.DataPath.Tests;

/// <summary>A source that has proved itself and then sends whatever it likes. The shell's memory may only ever hold what whole, valid records say.</summary>
public sealed class HostileStreamTests
{
    public static TheoryData<string, int, byte[]> BadHeads => new()
    {
        { "magic", 0, [0x54] },
        { "big-endian magic", 0, [0x4D, 0x4D, 0x50, 0x53] },
        { "version 0", 4, [0] },
        { "version 1", 4, [1] },
        { "version 3", 4, [3] },
        { "type 0", 5, [0] },
        { "unknown type", 5, [99] },
        { "flags", 6, [1, 0] },
        { "no descriptors", 8, [0, 0, 0, 0] },
        { "too many descriptors", 8, [0x01, 0x10, 0, 0] },
        { "2^32-1 descriptors", 8, [0xFF, 0xFF, 0xFF, 0xFF] },
        { "payload of 2^32-1", 16, [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0] },
        { "payload of 2^63", 16, [0, 0, 0, 0, 0, 0, 0, 0x80] },
        { "payload of 2^64-1", 16, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF] },
        { "unaligned payload", 16, [0xFF, 0x0F, 0, 0, 0, 0, 0, 0] },
        { "payload one page above the limit", 16, [0, 0x10, 0x10, 0, 0, 0, 0, 0] },
    };

    [Theory]
    [MemberData(nameof(BadHeads))]
    public void an_impossible_head_is_refused_before_anything_behind_it_is_read(string what, int offset, byte[] bytes)
    {
        byte[] record = HostileSession.ValidRecords()[0];
        bytes.CopyTo(record, offset);
        HostileSession session = HostileSession.Receive(record, new byte[1 << 20]);
        Assert.True(session.Failure.Fault == MigrationFault.Malformed, what);
        Assert.Equal(RecordFormat.HeaderBytes, session.BytesTaken);
        Untouched(session);
    }

    [Fact]
    public void control_records_have_their_one_length()
    {
        foreach (RecordType type in Enum.GetValues<RecordType>().Where(type => type is not (RecordType.Data or RecordType.Abort or RecordType.Refused or RecordType.Setup or RecordType.State)))
        {
            // No control record is 5 bytes long or longer than a kilobyte.
            Assert.Equal(MigrationFault.Malformed, HostileSession.Receive(HostileSession.Control(type, 0, new byte[5])).Failure.Fault);
            Assert.Equal(MigrationFault.Malformed, HostileSession.Receive(HostileSession.Control(type, 0, new byte[1025])).Failure.Fault);
        }

        Assert.Equal(MigrationFault.Malformed, HostileSession.Receive(HostileSession.Control(RecordType.Abort, 0, new byte[513])).Failure.Fault);
    }

    [Fact]
    public void runs_outside_of_the_guest_are_refused_and_nothing_of_their_record_is_written()
    {
        ulong good = RecordFormat.Descriptor(0, 1, zero: false);
        ulong[][] bad =
        [
            [good, RecordFormat.Descriptor(HostileSession.Pages, 1, zero: false)],
            [good, RecordFormat.Descriptor((1L << 40) - 1, 1, zero: false)],
            [good, RecordFormat.Descriptor(HostileSession.Pages - 1, 2, zero: true)],
            [good, RecordFormat.Descriptor(1, RecordFormat.MaxRun, zero: true)],
            [good, RecordFormat.Descriptor(1, 0, zero: true)],
            [RecordFormat.Descriptor(1, 1, zero: true), good],
            [good, good],
            [RecordFormat.Descriptor(0, 3, zero: true), RecordFormat.Descriptor(2, 1, zero: false)],
        ];
        foreach (ulong[] descriptors in bad)
        {
            HostileSession session = HostileSession.Receive(HostileSession.Data(0, descriptors, payloadPages: 2));
            Assert.Equal(MigrationFault.OutOfRange, session.Failure.Fault);
            Untouched(session);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void a_payload_that_is_not_what_the_runs_need_is_refused(int payloadPages)
    {
        HostileSession session = HostileSession.Receive(HostileSession.Data(0, [RecordFormat.Descriptor(0, 2, zero: false)], payloadPages));
        Assert.Equal(MigrationFault.Malformed, session.Failure.Fault);
        Untouched(session);
    }

    [Fact]
    public void the_valid_stream_is_accepted()
    {
        HostileSession session = HostileSession.Receive(HostileSession.ValidRecords());
        Assert.Contains(session.Events, happened => happened is ImageCompleted);
        Assert.Equal(MigrationFault.ConnectionLost, session.Failure.Fault);
        Assert.True(session.Shell.Bytes.SequenceEqual(HostileSession.MakeGuest().Bytes));
    }

    [Fact]
    public void a_stream_that_is_cut_anywhere_is_never_complete_and_never_half_applied()
    {
        byte[] whole = [.. HostileSession.ValidRecords().SelectMany(record => record)];
        for (int length = 0; length < whole.Length; length++)
        {
            HostileSession session = HostileSession.Receive(whole[..length]);
            Assert.Equal(MigrationFault.ConnectionLost, session.Failure.Fault);
            MustHoldWholeRecordsOnly(session, whole, length);
        }
    }

    [Fact]
    public void a_flipped_bit_in_any_byte_is_noticed_before_its_record_is_applied()
    {
        byte[] whole = [.. HostileSession.ValidRecords().SelectMany(record => record)];
        for (int offset = 0; offset < whole.Length; offset++)
        {
            byte[] flipped = [.. whole];
            flipped[offset] ^= (byte)(1 << (offset % 8));
            HostileSession session = HostileSession.Receive(flipped);
            Assert.DoesNotContain(session.Events, happened => happened is ImageCompleted);
            MustHoldWholeRecordsOnly(session, whole, offset);
        }
    }

    [Fact]
    public void an_image_is_not_complete_before_every_page_has_come()
    {
        HostileSession session = HostileSession.Receive(
            HostileSession.Data(0, [RecordFormat.Descriptor(0, HostileSession.Pages - 1, zero: true)], 0),
            End(1, 1, HostileSession.Pages - 1, HostileSession.Pages - 1),
            Completed(2, digest: 0, incarnation: 0));
        Assert.Equal(MigrationFault.IncompleteImage, session.Failure.Fault);
    }

    [Fact]
    public void an_image_with_another_digest_is_not_complete()
    {
        List<byte[]> records = HostileSession.ValidRecords();
        records[^1] = Completed((ulong)records.Count - 1, digest: 1, incarnation: 0);
        Assert.Equal(MigrationFault.DigestMismatch, HostileSession.Receive(records).Failure.Fault);
    }

    [Fact]
    public void records_in_a_wrong_order_are_a_typed_error()
    {
        List<byte[]> valid = HostileSession.ValidRecords();
        ulong next = (ulong)valid.Count;
        byte[] zeros(ulong sequence) => HostileSession.Data(sequence, [RecordFormat.Descriptor(0, 1, zero: true)], 0);
        IEnumerable<byte[]>[] orders =
        [
            [valid[0], valid[0]],
            [valid[1]],
            [valid[0], valid[2]],
            [.. valid, zeros(next)],
            [.. valid, End(next, 2, 0, 0)],
            [.. valid, valid[^1]],
            [HostileSession.Control(RecordType.Vote, 0, Vote.Bytes, new Vote(1, 0, 7).Write)],
            [.. valid, HostileSession.Control(RecordType.Vote, next, Vote.Bytes, new Vote(1, 1, 7).Write)],
            [.. valid, HostileSession.Control(RecordType.Vote, next, Vote.Bytes, new Vote(1, 0, 6).Write)],
            [.. valid, HostileSession.Control(RecordType.Vote, next, Vote.Bytes, new Vote(-1, 0, 7).Write)],
            [.. valid, HostileSession.Control(RecordType.Void, next, new byte[4])],
            [.. valid[..^2], Completed(next - 2, 0, 0)],
            [zeros(0), End(1, 2, 1, 1)],
            [zeros(0), End(1, 1, 2, 1)],
            [zeros(0), End(1, 1, 1, 0)],
            [End(0, 1, 0, 0), Completed(1, 0, incarnation: -1)],
            [HostileSession.Control(RecordType.Ready, 0, new byte[Ready.Bytes])],
            [HostileSession.Control(RecordType.Hello, 0, new byte[Handshake.HelloBytes(0)])],
            [HostileSession.Control(RecordType.Proof, 0, new byte[ReplicaToken.Bytes])],
            [HostileSession.Control(RecordType.Resumed, 0, new byte[4])],
        ];
        for (int i = 0; i < orders.Length; i++)
        {
            Assert.True(HostileSession.Receive(orders[i]).Failure.Fault == MigrationFault.OutOfOrder, $"order {i}");
        }
    }

    [Fact]
    public void an_abort_text_cannot_forge_lines_in_a_log()
    {
        HostileSession session = HostileSession.Receive(HostileSession.Control(RecordType.Abort, 0, "gone\r\nroot logged in\u001b[2J"u8.ToArray()));
        Assert.Equal("gone  root logged in [2J", Assert.IsType<SourceAborted>(session.Events[^1]).Reason);
    }

    [Fact]
    public void garbage_never_crashes_a_receiver_and_never_reaches_the_memory()
    {
        for (int seed = 0; seed < 2_000; seed++)
        {
            Random random = new(seed);
            byte[] garbage = new byte[random.Next(300)];
            random.NextBytes(garbage);
            if (random.Next(2) == 0 && garbage.Length >= 8)
            {
                // Half of it gets past magic, version and type.
                HostileSession.ValidRecords()[0].AsSpan(0, 8).CopyTo(garbage);
                garbage[5] = (byte)random.Next(32);
            }

            HostileSession session = HostileSession.Receive(garbage);
            Untouched(session);
            Assert.NotEqual(MigrationFault.MemoryFailed, session.Failure.Fault);
        }
    }

    [Fact]
    public void random_records_with_valid_checks_stay_within_the_memory_and_the_allocation_cap()
    {
        for (int seed = 0; seed < 2_000; seed++)
        {
            Random random = new(seed);
            List<byte[]> records = [];
            for (int i = random.Next(1, 6); i > 0; i--)
            {
                records.Add(RandomRecord(random, (ulong)records.Count));
            }

            HostileSession session = HostileSession.Receive(records);
            Assert.NotEqual(MigrationFault.MemoryFailed, (session.Events[^1] as MigrationFailed)?.Fault);
            Assert.True(session.BytesAllocated < HostileSession.AllocationCap, $"seed {seed} allocated {session.BytesAllocated} bytes");
        }
    }

    private static byte[] RandomRecord(Random random, ulong sequence)
    {
        if (random.Next(4) == 0)
        {
            byte[] body = new byte[random.Next(40)];
            random.NextBytes(body);
            return HostileSession.Control((RecordType)random.Next(1, 30), sequence, body);
        }

        ulong[] descriptors = new ulong[random.Next(1, 4)];
        int copied = 0;
        for (int i = 0; i < descriptors.Length; i++)
        {
            long first = random.Next(10) == 0 ? random.NextInt64(1L << 40) : random.Next(HostileSession.Pages + 1);
            int length = random.Next(10) == 0 ? random.Next(RecordFormat.MaxRun) : random.Next(3);
            bool zero = random.Next(2) == 0;
            descriptors[i] = RecordFormat.Descriptor(first, length, zero);
            copied += zero ? 0 : Math.Min(length, 10);
        }

        return HostileSession.Data(sequence, descriptors, random.Next(5) == 0 ? random.Next(8) : copied);
    }

    private static byte[] End(ulong sequence, int round, long pages, long zeroPages) =>
        HostileSession.Control(RecordType.RoundEnd, sequence, RoundEnd.Bytes, new RoundEnd(round, false, pages, zeroPages).Write);

    private static byte[] Completed(ulong sequence, ulong digest, int incarnation) =>
        HostileSession.Control(RecordType.Complete, sequence, Complete.Bytes, new Complete(digest, incarnation, 0).Write);

    private static void Untouched(HostileSession session) =>
        Assert.True(session.Shell.Bytes.SequenceEqual(HostileSession.MakeShell().Bytes), "The shell's memory was written.");

    /// <summary>Applies by hand the data records that lie wholly before the offset, and compares.</summary>
    private static void MustHoldWholeRecordsOnly(HostileSession session, byte[] whole, int offset)
    {
        SimulatedGuest expected = HostileSession.MakeShell();
        int at = 0;
        while (at < whole.Length && whole[at + 5] == (byte)RecordType.Data)
        {
            RecordHeader header = RecordFormat.ReadHeader(whole.AsSpan(at));
            int payloadAt = at + RecordFormat.HeaderBytes + (8 * header.Descriptors);
            if (payloadAt + header.PayloadBytes > offset)
            {
                break;
            }

            int used = 0;
            for (int i = 0; i < header.Descriptors; i++)
            {
                ulong descriptor = BinaryPrimitives.ReadUInt64LittleEndian(whole.AsSpan(at + RecordFormat.HeaderBytes + (8 * i)));
                (long first, int count, bool zero) = RecordFormat.Run(descriptor);
                expected.Write(first, zero ? new byte[count * IGuestMemory.PageBytes] : whole.AsSpan(payloadAt + used, count * IGuestMemory.PageBytes));
                used += zero ? 0 : count * IGuestMemory.PageBytes;
            }

            at = payloadAt + header.PayloadBytes;
        }

        Assert.True(expected.Bytes.SequenceEqual(session.Shell.Bytes), $"Cut or flipped at {offset}, the shell holds something else than whole records.");
    }
}
