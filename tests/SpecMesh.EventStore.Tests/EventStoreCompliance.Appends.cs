using System.Text.Json;
using SpecMesh.Contracts;

namespace SpecMesh.EventStore.Tests;

public abstract partial class EventStoreCompliance
{
    [StoreFact]
    public async Task every_kind_of_value_reads_back_as_it_was_written()
    {
        JsonElement headers = JsonSerializer.SerializeToElement(new { from = "tests", nested = new { number = 3 } });
        await Store.CommitAsync(new Commit(Service, [new StreamAppend("a", "test", 0, [Records.Everything, new Counted(2)], () => headers)], []), Token);

        IReadOnlyList<StoredEvent> events = await Store.ReadStreamAsync("a", 0, 10, Token);

        Assert.Equal([1, 2], events.Select(stored => stored.Version));
        Assert.Equal(["everything_happened", "counted"], events.Select(stored => stored.Alias));
        Assert.Equal(Records.Types.Write(Records.Everything), Records.Types.Write(Assert.IsType<EverythingHappened>(events[0].Data)));
        Assert.Equal(new Counted(2), events[1].Data);
        Assert.Equal(3, events[0].Headers!.Value.GetProperty("nested").GetProperty("number").GetInt32());
        Assert.Null(events[1].Headers);
        Assert.Equal(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero).AddTicks(1234560), events[0].Timestamp);
        Assert.Equal(2, events.Select(stored => stored.EventId).Distinct().Count());
        Assert.Equal(events, (await Store.ReadAllAsync(0, 10, Token)).Events, SameEvent);
    }

    [StoreFact]
    public async Task every_contract_that_is_stored_reads_back_as_it_was_written()
    {
        List<object> samples = [.. ContractCatalogue.StoredEvents.Select(Samples.Of)];
        await Store.CommitAsync(Append("a", 0, [.. samples]), Token);

        IReadOnlyList<StoredEvent> events = await Store.ReadStreamAsync("a", 0, samples.Count, Token);

        Assert.Equal(samples.Select(sample => sample.GetType()), events.Select(stored => stored.Data.GetType()));
        Assert.Equal(samples.Select(Records.Types.Write), events.Select(stored => Records.Types.Write(stored.Data)));
    }

    [StoreFact]
    public async Task a_stream_is_read_in_pages_after_a_version()
    {
        await Store.CommitAsync(Append("a", 0, new Counted(1), new Counted(2), new Counted(3)), Token);
        await Store.CommitAsync(Append("b", 0, new Counted(9)), Token);

        Assert.Equal([2, 3], (await Store.ReadStreamAsync("a", 1, 2, Token)).Select(stored => stored.Version));
        Assert.Equal([1], (await Store.ReadStreamAsync("a", 0, 1, Token)).Select(stored => stored.Version));
        Assert.Empty(await Store.ReadStreamAsync("a", 3, 10, Token));
        Assert.Empty(await Store.ReadStreamAsync("unknown", 0, 10, Token));
    }

    [StoreFact]
    public async Task an_append_succeeds_only_at_the_expected_version()
    {
        await Store.CommitAsync(Append("a", 0, new Counted(1), new Counted(2)), Token);

        foreach (long wrong in new[] { 0L, 1L, 3L })
        {
            ConcurrencyException refused = await Assert.ThrowsAsync<ConcurrencyException>(() => Store.CommitAsync(Append("a", wrong, new Counted(3)), Token));
            Assert.Equal(("a", wrong), (refused.StreamId, refused.ExpectedVersion));
        }

        await Assert.ThrowsAsync<ConcurrencyException>(() => Store.CommitAsync(Append("new", 1, new Counted(1)), Token));
        await Store.CommitAsync(Append("a", 2, new Counted(3)), Token);
        Assert.Equal([1, 2, 3], (await Store.ReadStreamAsync("a", 0, 10, Token)).Select(stored => ((Counted)stored.Data).Value));
        Assert.Empty(await Store.ReadStreamAsync("new", 0, 10, Token));
    }

    [StoreFact]
    public async Task what_can_never_succeed_is_refused_before_anything_is_written()
    {
        await Assert.ThrowsAsync<ArgumentException>(() => Store.CommitAsync(Append("a", 0), Token));
        await Assert.ThrowsAsync<ArgumentException>(() => Store.CommitAsync(Append("a", -1, new Counted(1)), Token));
        await Assert.ThrowsAsync<ArgumentException>(() => Store.CommitAsync(Append("mt_tombstone", 0, new Counted(1)), Token));
        await Assert.ThrowsAsync<ArgumentException>(() => Store.CommitAsync(Append("a", 0, new Counted(1), new Forgotten("not registered")), Token));
        await Assert.ThrowsAsync<ArgumentException>(() => Store.CommitAsync(Append("a", 0, Records.Everything with { Text = "nul \0 nul" }), Token));
        StreamAppend twice = new("a", "test", 0, [new Counted(1)]);
        await Assert.ThrowsAsync<ArgumentException>(() => Store.CommitAsync(new Commit(Service, [twice, twice], []), Token));
        StreamAppend headed = twice with { Headers = () => JsonSerializer.SerializeToElement(3) };
        await Assert.ThrowsAsync<ArgumentException>(() => Store.CommitAsync(new Commit(Service, [headed], []), Token));
        await Assert.ThrowsAsync<ArgumentException>(() => Store.CommitAsync(new Commit(Service, [], [], new CheckpointMove("s", 5, 4)), Token));

        Assert.Empty(await ReadAllAsync(Store));
        await Store.CommitAsync(Append("a", 0, new Counted(1)), Token);
    }

    [StoreFact]
    public async Task a_refused_commit_leaves_nothing_of_itself()
    {
        await Store.CommitAsync(Append("z", 0, new Counted(1)), Token);
        Commit commit = new(
            Service,
            [new StreamAppend("a", "test", 0, [new Counted(1)]), new StreamAppend("z", "test", 0, [new Counted(2)])],
            [Message(1)],
            new CheckpointMove("s", 0, 1));

        await Assert.ThrowsAsync<ConcurrencyException>(() => Store.CommitAsync(commit, Token));

        Assert.Single(await ReadAllAsync(Store));
        Assert.Empty(await Store.ReadStreamAsync("a", 0, 10, Token));
        Assert.Null(await Store.NextDueAsync(Service, Token));
        Assert.Equal(0, await Store.ReadCheckpointAsync("s", Token));
    }

    [StoreFact]
    public async Task a_commit_that_breaks_between_its_statements_leaves_nothing_of_itself()
    {
        Commit commit = Append("a", 0, new Counted(1)) with { Messages = [Message(1)], Checkpoint = new CheckpointMove("s", 0, 1) };
        await BreakOutboxAsync();
        Exception broken = await Assert.ThrowsAnyAsync<Exception>(() => Store.CommitAsync(commit, Token));
        Assert.IsNotType<ConcurrencyException>(broken);
        await MendOutboxAsync();

        Assert.Empty(await Store.ReadStreamAsync("a", 0, 10, Token));
        Assert.Equal(0, await Store.ReadCheckpointAsync("s", Token));

        await Store.CommitAsync(commit, Token);
        Assert.Single(await Store.ReadStreamAsync("a", 0, 10, Token));
        Assert.Equal(1, await Store.ReadCheckpointAsync("s", Token));
        Assert.Equal([1], await DispatchAsync());
    }

    [StoreFact]
    public async Task of_many_writers_of_one_stream_exactly_one_wins_each_version()
    {
        const int writers = 6, each = 8;
        IEventStore other = await OpenAsync();
        await Task.WhenAll(Enumerable.Range(0, writers).Select(writer => Task.Run(async () =>
        {
            for (int i = 0; i < each; i++)
            {
                await AppendNextAsync(writer % 2 == 0 ? Store : other, "a", new Counted((writer * each) + i));
            }
        })));

        IReadOnlyList<StoredEvent> events = await Store.ReadStreamAsync("a", 0, int.MaxValue, Token);

        Assert.Equal(Enumerable.Range(1, writers * each).Select(version => (long)version), events.Select(stored => stored.Version));
        Assert.Equal(Enumerable.Range(0, writers * each), events.Select(stored => ((Counted)stored.Data).Value).Order());
        Assert.Equal(events.OrderBy(stored => stored.Sequence), events);
    }

    [StoreFact]
    public async Task two_writers_that_name_the_same_streams_in_opposite_order_both_come_to_an_end()
    {
        const int rounds = 25;
        int moved = 0;
        async Task MoveAsync(string first, string second)
        {
            for (int i = 0; i < rounds; i++)
            {
                long a = (await Store.ReadStreamAsync(first, 0, int.MaxValue, Token)).Count;
                long b = (await Store.ReadStreamAsync(second, 0, int.MaxValue, Token)).Count;
                try
                {
                    await Store.CommitAsync(
                        new Commit(Service, [new StreamAppend(first, "test", a, [new Counted(i)]), new StreamAppend(second, "test", b, [new Counted(i)])], []), Token);
                    Interlocked.Increment(ref moved);
                }
                catch (ConcurrencyException)
                {
                    // The other writer was first with at least one of the two: then neither may have moved.
                    continue;
                }
            }
        }

        await Task.WhenAll(Task.Run(() => MoveAsync("a", "b")), Task.Run(() => MoveAsync("b", "a")));

        Assert.InRange(moved, 1, 2 * rounds);
        Assert.Equal(moved, (await Store.ReadStreamAsync("a", 0, int.MaxValue, Token)).Count);
        Assert.Equal(moved, (await Store.ReadStreamAsync("b", 0, int.MaxValue, Token)).Count);
    }

    [StoreFact]
    public async Task a_commit_is_refused_when_what_it_was_decided_from_has_moved()
    {
        await Store.CommitAsync(Append("read", 0, new Counted(1)), Token);
        Commit decided = Append("a", 0, new Counted(1)) with { Messages = [Message(1)], Reads = [new StreamVersion("read", 1), new StreamVersion("absent", 0)] };
        await Store.CommitAsync(Append("read", 1, new Counted(2)), Token);

        ConcurrencyException refused = await Assert.ThrowsAsync<ConcurrencyException>(() => Store.CommitAsync(decided, Token));

        Assert.Equal(("read", 1), (refused.StreamId, refused.ExpectedVersion));
        Assert.Empty(await Store.ReadStreamAsync("a", 0, 10, Token));
        Assert.Null(await Store.NextDueAsync(Service, Token));
        await Store.CommitAsync(decided with { Reads = [new StreamVersion("read", 2), new StreamVersion("absent", 0)] }, Token);
        await Assert.ThrowsAsync<ConcurrencyException>(() => Store.CommitAsync(new Commit(Service, [], [], Reads: [new StreamVersion("absent", 1)]), Token));
        await Store.CommitAsync(new Commit(Service, [], [], Reads: [new StreamVersion("a", 1)]), Token);
    }

    [StoreFact]
    public async Task commits_that_come_together_each_succeed_or_fail_by_themselves()
    {
        const int rounds = 20, each = 12;
        for (int round = 0; round < rounds; round++)
        {
            // In every round one commit per stream can win "shared", two want a stream at a version that it never had, and the others are in nobody's way.
            Task<bool>[] commits = [.. Enumerable.Range(0, each).Select(n => (n % 4) switch
            {
                0 => TryAsync(Append("shared", round, new Counted(n)) with { Messages = [Message((round * each) + n)] }),
                1 => TryAsync(Append($"wrong-{round}-{n}", 7, new Counted(n)) with { Messages = [Message((round * each) + n)] }),
                _ => TryAsync(Append($"free-{round}-{n}", 0, new Counted(n)) with { Messages = [Message((round * each) + n)] }),
            })];
            bool[] succeeded = await Task.WhenAll(commits);

            Assert.Equal(1, Enumerable.Range(0, each).Count(n => n % 4 == 0 && succeeded[n]));
            Assert.All(Enumerable.Range(0, each).Where(n => n % 4 == 1), n => Assert.False(succeeded[n]));
            Assert.All(Enumerable.Range(0, each).Where(n => n % 4 > 1), n => Assert.True(succeeded[n]));
            Assert.Equal(Enumerable.Range(0, each).Where(n => succeeded[n]).Select(n => (round * each) + n), (await DispatchAsync()).Order());
        }

        Assert.Equal(rounds, (await Store.ReadStreamAsync("shared", 0, int.MaxValue, Token)).Count);

        async Task<bool> TryAsync(Commit commit)
        {
            try
            {
                await Store.CommitAsync(commit, Token);
                return true;
            }
            catch (ConcurrencyException)
            {
                return false;
            }
        }
    }

    [StoreFact]
    public async Task a_record_that_the_reader_does_not_know_reads_as_its_json()
    {
        IEventStore writer = await OpenAsync(Records.WithForgotten);
        await writer.CommitAsync(Append("a", 0, new Forgotten("secret")) with { Messages = [new OutgoingMessage(Guid.NewGuid(), new Forgotten("sent"), "queue", null)] }, Token);

        StoredEvent stored = Assert.Single(await Store.ReadStreamAsync("a", 0, 10, Token));
        Assert.Equal("forgotten", stored.Alias);
        Assert.Equal("secret", Assert.IsType<JsonElement>(stored.Data).GetProperty("word").GetString());

        List<OutboxMessage> published = await DispatchWholeAsync();
        Assert.Equal("sent", Assert.IsType<JsonElement>(Assert.Single(published).Message).GetProperty("word").GetString());
    }

    [StoreFact]
    public async Task several_processes_may_create_the_same_database_at_once()
    {
        await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => Task.Run(() => OpenQuietlyAsync())));
        await Store.CommitAsync(Append("a", 0, new Counted(1)), Token);
        Assert.Single(await ReadAllAsync(Store));

        async Task OpenQuietlyAsync()
        {
            await using IEventStore store = Create(Records.Types);
            await store.InitializeAsync(Token);
        }
    }

    private static bool SameEvent(StoredEvent one, StoredEvent other) =>
        Describe(one) == Describe(other);

    private static string Describe(StoredEvent stored) =>
        $"{stored.Sequence} {stored.EventId} {stored.StreamId} {stored.Version} {stored.Alias} {stored.Timestamp:O} {stored.Headers} {Records.Types.Write(stored.Data)}";
}
