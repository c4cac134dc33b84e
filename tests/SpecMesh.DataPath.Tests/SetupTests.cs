using System.Buffers.Binary;

namespace SpecMesh.DataPath.Tests;

/// <summary>What a source says beside its pages: that it arrives as it was said, when it may come, and how large it may be.</summary>
public sealed class SetupTests
{
    private static readonly byte[] Setup = [.. Enumerable.Range(0, 3000).Select(i => (byte)i)];

    /// <summary>Page counts that no guest of the small machine has: its slack is 16,384 pages.</summary>
    public static TheoryData<long> ImpossiblePageCounts => [0, -1, long.MinValue, long.MaxValue, HostileSession.Pages + 16_385, 1L << 40];

    [Theory]
    [InlineData(27, 2, "1050000000000000010203", "53504D4D021B000000000000D62A953A0B0000000000000002000000000000001050000000000000010203")]
    [InlineData(28, 9, "CAFE", "53504D4D021C00000000000042BB5A0C02000000000000000900000000000000CAFE")]
    public void the_records_are_the_documented_ones(int type, int sequence, string body, string wire) =>
        Assert.Equal(wire, Convert.ToHexString(HostileSession.Raw((RecordType)type, (ulong)sequence, Convert.FromHexString(body))));

    [Theory]
    [InlineData(0, 0)]
    [InlineData(3000, 2505)]
    [InlineData(RecordFormat.MaxBlobBytes, RecordFormat.MaxBlobBytes)]
    public async Task what_a_driver_says_arrives_at_every_target_before_the_first_page_and_after_the_last(int setupBytes, int stateBytes)
    {
        byte[] setup = Filled(setupBytes, 3), state = Filled(stateBytes, 5);
        await using Race race = new(pages: 64) { Setup = setup, ReadState = () => state };
        Target[] targets = [await race.JoinAsync(), await race.JoinAsync()];
        await Task.WhenAll(targets.Select(target => target.Sender.RunRoundAsync(Race.Deadline())));
        Assert.All(targets, target => Assert.True(setup.AsSpan().SequenceEqual(target.Image.Setup)));
        Assert.All(targets, target => Assert.Empty(target.Image.States));

        race.Suspend(0);
        await Task.WhenAll(targets.Select(target => target.Sender.FinishAsync(0, 7, Race.Deadline())));
        foreach (Target target in targets)
        {
            target.MustEqual(race.Guest);
            Assert.True(state.AsSpan().SequenceEqual(Assert.Single(target.Image.States)));
        }
    }

    [Fact]
    public async Task an_image_may_have_more_pages_than_the_machine_has_memory()
    {
        SimulatedGuest guest = new(HostileSession.Pages + 3);
        guest.Populate(4);
        await using MigrationListener listener = MigrationListener.Start(new MigrationListenerOptions(), TimeProvider.System);
        ReplicaIdentity identity = new(new ReplicaKey(Guid.NewGuid(), 0, 1), "vm", HostileSession.MemoryBytes);
        SimulatedGuest shell = new(guest.PageCount);
        listener.Expect(identity, Race.Token(identity), new ShellOf(shell));
        DirtyLogOwner owner = new(guest, guest.PageCount, TimeProvider.System, TimeSpan.Zero);
        await using MigrationSender sender = await MigrationSender.ConnectAsync(
            new MigrationSenderOptions(listener.Endpoint, identity, Race.Token(identity), owner, guest, TimeProvider.System), Race.Deadline());
        owner.BeginSuspend(0);
        owner.FinalHarvest(0);
        await sender.FinishAsync(0, 1, Race.Deadline());
        Assert.True(guest.Bytes.SequenceEqual(shell.Bytes));
    }

    [Fact]
    public async Task what_is_too_long_to_travel_is_refused_at_the_source()
    {
        await using Race tooMuch = new(pages: 8) { Setup = new byte[RecordFormat.MaxBlobBytes + 1] };
        await Assert.ThrowsAsync<ArgumentException>(() => tooMuch.JoinAsync());

        await using Race race = new(pages: 8) { ReadState = () => new byte[RecordFormat.MaxBlobBytes + 1] };
        Target target = await race.JoinAsync();
        race.Suspend(0);
        MigrationException refusal = await Assert.ThrowsAsync<MigrationException>(() => target.Sender.FinishAsync(0, 1, Race.Deadline()));
        Assert.Contains("at most", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task a_state_that_was_read_while_the_guest_went_on_is_not_sent()
    {
        await using Race race = new(pages: 8);
        race.ReadState = () =>
        {
            race.Owner.EndSuspend();
            throw new InvalidOperationException("The guest runs.");
        };
        Target target = await race.JoinAsync();
        race.Suspend(0);
        Assert.Equal(MigrationFault.Voided, (await Assert.ThrowsAsync<MigrationException>(() => target.Sender.FinishAsync(0, 1, Race.Deadline()))).Fault);

        race.ReadState = null;
        await target.Sender.VoidAsync(1, Race.Deadline());
        Assert.Empty(target.Image.States);
    }

    [Theory]
    [MemberData(nameof(ImpossiblePageCounts))]
    public void a_page_count_that_the_machine_cannot_have_is_refused_before_anything_of_its_size_is_made(long pageCount)
    {
        HostileSession session = HostileSession.ReceiveAll(HostileSession.SetupOf(pageCount, Setup));
        Assert.Equal(MigrationFault.OutOfRange, session.Failure.Fault);
        Assert.Null(session.Image.Setup);
        Assert.True(session.BytesAllocated < HostileSession.AllocationCap, $"{session.BytesAllocated} bytes were allocated");
    }

    [Fact]
    public void a_shell_of_another_size_ends_the_migration_stream()
    {
        HostileSession session = HostileSession.ReceiveAll(HostileSession.SetupOf(HostileSession.Pages + 1, Setup));
        Assert.Equal(MigrationFault.MemoryFailed, session.Failure.Fault);
        Assert.Contains($"has {HostileSession.Pages} pages", session.Failure.Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(27, 0)]
    [InlineData(27, 7)]
    [InlineData(27, RecordFormat.MaxBlobBytes + 9)]
    [InlineData(28, 0)]
    [InlineData(28, RecordFormat.MaxBlobBytes + 1)]
    public void a_length_that_none_has_is_refused_before_it_is_believed(int type, int length)
    {
        byte[] record = HostileSession.Raw((RecordType)type, 0, new byte[8]);
        BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(16), length);
        HostileSession session = HostileSession.ReceiveAll(record, new byte[2 << 20]);
        Assert.Equal(MigrationFault.Malformed, session.Failure.Fault);
        Assert.Equal(RecordFormat.HeaderBytes, session.BytesTaken);
    }

    [Fact]
    public void every_bit_of_what_a_driver_says_is_in_the_check()
    {
        byte[] setup = HostileSession.SetupOf(HostileSession.Pages, HostileSession.Description);
        for (int bit = 0; bit < setup.Length * 8; bit++)
        {
            byte[] flipped = [.. setup];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Null(HostileSession.ReceiveAll(flipped, new byte[64]).Image.Setup);
        }
    }

    [Fact]
    public void what_a_driver_says_comes_in_its_place_and_once()
    {
        List<byte[]> valid = HostileSession.ValidRecords();
        byte[] setup = HostileSession.SetupOf(HostileSession.Pages, HostileSession.Description);
        ulong complete = (ulong)valid.Count - 1;
        byte[] state(ulong sequence) => HostileSession.Control(RecordType.State, sequence, [7]);
        byte[] completed(ulong sequence) => HostileSession.Control(RecordType.Complete, sequence, valid[^1][RecordFormat.HeaderBytes..]);
        Dictionary<string, IEnumerable<byte[]>> orders = new()
        {
            ["pages without a setup"] = [HostileSession.Raw(RecordType.RoundEnd, 0, new byte[RoundEnd.Bytes])],
            ["complete without a setup"] = [HostileSession.Raw(RecordType.Complete, 0, new byte[Complete.Bytes])],
            ["void without a setup"] = [HostileSession.Raw(RecordType.Void, 0, new byte[4])],
            ["state without a setup"] = [HostileSession.Raw(RecordType.State, 0, [7])],
            ["setup twice"] = [setup, HostileSession.Control(RecordType.Setup, 0, setup[RecordFormat.HeaderBytes..])],
            ["setup after pages"] = [setup, valid[0], HostileSession.Control(RecordType.Setup, 1, setup[RecordFormat.HeaderBytes..])],
            ["setup after the image"] = [setup, .. valid, HostileSession.Control(RecordType.Setup, complete + 1, setup[RecordFormat.HeaderBytes..])],
            ["state before pages"] = [setup, state(0)],
            ["state before the round's end"] = [setup, .. valid[..^2], state(complete - 1)],
            ["state after a round that is not the last"] = [setup, HostileSession.Control(RecordType.RoundEnd, 0, RoundEnd.Bytes, new RoundEnd(1, false, 0, 0).Write), state(1)],
            ["state twice"] = [setup, .. valid[..^1], state(complete), state(complete + 1)],
            ["pages after the state"] = [setup, .. valid[..^1], state(complete), HostileSession.Data(complete + 1, [RecordFormat.Descriptor(0, 1, zero: true)], 0)],
            ["a round's end after the state"] = [setup, .. valid[..^1], state(complete), HostileSession.Control(RecordType.RoundEnd, complete + 1, RoundEnd.Bytes, new RoundEnd(2, true, 0, 0).Write)],
            ["state after the image"] = [setup, .. valid, state(complete + 1)],
        };
        foreach ((string order, IEnumerable<byte[]> records) in orders)
        {
            HostileSession session = HostileSession.ReceiveAll(records);
            Assert.True(session.Failure.Fault == MigrationFault.OutOfOrder, $"{order}: {session.Failure}");
        }

        HostileSession good = HostileSession.ReceiveAll([setup, .. valid[..^1], state(complete), completed(complete + 1)]);
        Assert.Equal([7], Assert.Single(good.Image.States));
        Assert.Contains(good.Events, happened => happened is ImageCompleted);
    }

    [Fact]
    public void a_state_of_an_image_that_was_voided_before_it_was_complete_is_forgotten()
    {
        List<byte[]> valid = HostileSession.ValidRecords();
        ulong next = (ulong)valid.Count - 1;
        byte[] incarnation = [1, 0, 0, 0];
        byte[] digest = valid[^1][RecordFormat.HeaderBytes..];
        incarnation.CopyTo(digest, 8);
        HostileSession session = HostileSession.Receive(
            [.. valid[..^1],
            HostileSession.Control(RecordType.State, next, [7]),
            HostileSession.Control(RecordType.Void, next + 1, incarnation),
            HostileSession.Control(RecordType.RoundEnd, next + 2, RoundEnd.Bytes, new RoundEnd(2, true, 0, 0).Write),
            HostileSession.Control(RecordType.Complete, next + 3, digest)]);
        Assert.Contains(session.Events, happened => happened is ImageCompleted { Incarnation: 1 });
        Assert.Empty(Assert.Single(session.Image.States));
        Assert.Equal(0, session.Image.Reopened);
    }

    [Fact]
    public async Task nobody_says_it_before_the_handshake()
    {
        foreach (RecordType type in (RecordType[])[RecordType.Setup, RecordType.State])
        {
            await using Doorstep door = new();
            using System.Net.Sockets.Socket stranger = door.Knock();
            stranger.Send(HostileSession.Raw(type, 0, new byte[100_000]));
            Assert.Equal(MigrationFault.Unauthenticated, (await door.NextRefusalAsync()).Fault);
            await door.MustStillBeOpenAsync();
        }
    }

    private static byte[] Filled(int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
