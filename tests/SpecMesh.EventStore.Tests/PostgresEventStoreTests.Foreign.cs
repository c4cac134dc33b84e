using Npgsql;

namespace SpecMesh.EventStore.Tests;

// What a Marten application (or anybody who follows Marten's rules) does on the same tables, in plain SQL.
public sealed partial class PostgresEventStoreTests
{
    [StoreFact]
    public async Task what_a_foreign_writer_appended_reads_like_our_own()
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(Token);
        await ForeignAppendAsync(connection, "a", 0, 1);
        await ExecuteAsync("update mesh.mt_events set headers = 'null'::jsonb, mt_dotnet_type = null");
        await Store.CommitAsync(Append("a", 1, new Counted(2)), Token);
        await ForeignAppendAsync(connection, "a", 2, 3);

        IReadOnlyList<StoredEvent> events = await Store.ReadStreamAsync("a", 0, 10, Token);

        Assert.Equal([1, 2, 3], events.Select(stored => ((Counted)stored.Data).Value));
        Assert.All(events, stored => Assert.Null(stored.Headers));
        Assert.Equal(3, await ScalarAsync<long>("select version from mesh.mt_streams where id = 'a'"));
    }

    [StoreFact]
    public async Task tombstones_and_archived_events_are_passed_over()
    {
        await Store.CommitAsync(Append("a", 0, new Counted(1)), Token);
        await ExecuteAsync(
            """
            insert into mesh.mt_streams (id, type, version, is_archived) values ('mt_tombstone', 'tombstone', 0, false);
            insert into mesh.mt_events (seq_id, id, stream_id, version, data, type, "timestamp", mt_dotnet_type, is_archived)
            select nextval('mesh.mt_events_sequence'), gen_random_uuid(), 'mt_tombstone', n, '{}', 'tombstone', '-infinity', 'JasperFx.Events.Tombstone, JasperFx.Events', false
            from generate_series(2, 3) n;
            """);
        await Store.CommitAsync(Append("old", 0, new Counted(4)), Token);
        await ExecuteAsync("update mesh.mt_streams set is_archived = true where id = 'old'; update mesh.mt_events set is_archived = true where stream_id = 'old'");
        await Store.CommitAsync(Append("unmarked", 0, new Counted(5)), Token);
        await ExecuteAsync("update mesh.mt_events set is_archived = null where stream_id = 'unmarked'");

        EventPage page = await Store.ReadAllAsync(0, 10, Token);

        Assert.Equal([1L], page.Events.Select(stored => stored.Sequence));
        Assert.Equal(5, page.NextSequence);
        Assert.Empty(await Store.ReadStreamAsync("old", 0, 10, Token));
        Assert.Empty(await Store.ReadStreamAsync("mt_tombstone", 0, 10, Token));
        await Assert.ThrowsAsync<InvalidOperationException>(() => Store.CommitAsync(Append("old", 1, new Counted(6)), Token));
    }

    [StoreFact]
    public async Task a_row_reads_in_plain_sql_as_marten_writes_it()
    {
        System.Text.Json.JsonElement headers = System.Text.Json.JsonSerializer.SerializeToElement(new { why = "a test" });
        await Store.CommitAsync(
            new Commit(Service, [new StreamAppend("a", "spec_op", 0, [new Counted(1), new Counted(2)], () => headers)], [], null, "correlation", "causation"), Token);

        List<string> rows = await ColumnAsync<string>(
            """
            select concat_ws('|', e.seq_id, e.stream_id, e.version, e.data, coalesce(e.bdata::text, 'null'), e.type, e.tenant_id, e.mt_dotnet_type, e.correlation_id, e.causation_id,
                             coalesce(e.headers::text, 'null'), e.is_archived, to_char(e.timestamp at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US'))
            from mesh.mt_events e order by seq_id
            """);
        string stream = await ScalarAsync<string>(
            "select concat_ws('|', type, version, tenant_id, is_archived, to_char(timestamp at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US'), timestamp = created) from mesh.mt_streams where id = 'a'");

        const string type = "SpecMesh.EventStore.Tests.Counted, SpecMesh.EventStore.Tests", at = "2026-01-02 03:04:05.123456";
        Assert.Equal(
            [
                $$"""1|a|1|{"value": 1}|null|counted|*DEFAULT*|{{type}}|correlation|causation|{"why": "a test"}|f|{{at}}""",
                $$"""2|a|2|{"value": 2}|null|counted|*DEFAULT*|{{type}}|correlation|causation|null|f|{{at}}""",
            ],
            rows);
        Assert.Equal($"spec_op|2|*DEFAULT*|f|{at}|t", stream);
    }

    [StoreFact]
    public async Task a_foreign_writer_that_is_faster_is_a_concurrency_conflict_and_nothing_worse()
    {
        await Store.CommitAsync(Append("a", 0, new Counted(1)), Token);
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(Token);
        foreach ((string stream, long version) in new[] { ("a", 1L), ("new", 0L) })
        {
            await using NpgsqlTransaction foreign = await connection.BeginTransactionAsync(Token);
            await ForeignInsertAsync(connection, stream, version, 7);
            Task ours = Store.CommitAsync(Append(stream, version, new Counted(8)), Token);
            await BlockedBackendAsync();

            // Our writer waits for the event. If it held the stream's row meanwhile, each would now wait for the other.
            await ForeignMoveStreamAsync(connection, stream, version);
            await foreign.CommitAsync(Token);

            ConcurrencyException refused = await Assert.ThrowsAsync<ConcurrencyException>(() => ours);
            Assert.Equal((stream, version), (refused.StreamId, refused.ExpectedVersion));
            Assert.Equal(PostgresErrorCodes.UniqueViolation, Assert.IsType<PostgresException>(refused.InnerException).SqlState);
        }
    }

    [StoreFact]
    public async Task foreign_writers_and_ours_on_the_same_streams_lose_nothing_and_never_deadlock()
    {
        const int each = 40;
        string[] streams = ["x", "y", "z"];
        int deadlocks = 0, conflicts = 0;
        await Task.WhenAll(Enumerable.Range(0, 6).Select(writer => Task.Run(() => writer % 2 == 0 ? OursAsync(writer) : ForeignAsync(writer))));

        Assert.Equal(0, deadlocks);
        Assert.True(conflicts > 0, "the writers were to meet, or the test shows nothing");
        Assert.Equal(6 * each, await ScalarAsync<long>("select count(*) from mesh.mt_events"));
        Assert.Equal(0, await ScalarAsync<long>(
            """
            select count(*) from mesh.mt_streams s
            join (select stream_id, max(version) top, count(*) n, count(distinct version) d, min(version) low from mesh.mt_events group by stream_id) e on e.stream_id = s.id
            where s.version <> e.top or e.n <> e.top or e.d <> e.n or e.low <> 1
            """));
        Assert.Equal(0, await ScalarAsync<long>(
            "select count(*) from (select version - lag(version) over (partition by stream_id order by seq_id) step from mesh.mt_events) s where step <> 1"));
        List<StoredEvent> all = await ReadAllAsync(Store);
        Assert.Equal(Enumerable.Range(0, 6 * each), all.Select(stored => ((Counted)stored.Data).Value).Order());

        async Task OursAsync(int writer)
        {
            for (int i = 0; i < each;)
            {
                string stream = streams[(writer + i) % streams.Length];
                long version = (await Store.ReadStreamAsync(stream, 0, int.MaxValue, Token)).Count;
                try
                {
                    await Store.CommitAsync(Append(stream, version, new Counted((writer * each) + i)), Token);
                    i++;
                }
                catch (ConcurrencyException e)
                {
                    Count((e.InnerException as PostgresException)?.SqlState);
                }
            }
        }

        async Task ForeignAsync(int writer)
        {
            await using NpgsqlConnection connection = await source.OpenConnectionAsync(Token);
            for (int i = 0; i < each;)
            {
                string stream = streams[(writer + i) % streams.Length];
                await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync(Token);
                try
                {
                    await using NpgsqlCommand read = new("select coalesce((select version from mesh.mt_streams where id = $1), 0)", connection, transaction);
                    read.Parameters.Add(new NpgsqlParameter { Value = stream });
                    await ForeignAppendAsync(connection, stream, (long)(await read.ExecuteScalarAsync(Token))!, (writer * each) + i);
                    await transaction.CommitAsync(Token);
                    i++;
                }
                catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.DeadlockDetected)
                {
                    Count(e.SqlState);
                }
            }
        }

        void Count(string? state) => Interlocked.Increment(ref state == PostgresErrorCodes.DeadlockDetected ? ref deadlocks : ref conflicts);
    }

    [StoreFact]
    public async Task a_foreign_writer_holds_up_those_only_who_want_its_stream()
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(Token);
        await using NpgsqlTransaction foreign = await connection.BeginTransactionAsync(Token);
        await ForeignAppendAsync(connection, "held", 0, 1);

        Task held = Store.CommitAsync(Append("held", 0, new Counted(2)), Token);
        for (int i = 0; i < 5; i++)
        {
            await Task.WhenAll(Enumerable.Range(0, 4).Select(n => Store.CommitAsync(Append($"free-{i}-{n}", 0, new Counted(1)), Token)));
        }

        Assert.False(held.IsCompleted);
        await foreign.CommitAsync(Token);
        await Assert.ThrowsAsync<ConcurrencyException>(() => held);
    }

    [StoreFact]
    public async Task a_race_that_is_lost_in_company_leaves_no_gap_in_the_sequence()
    {
        IEventStore other = await OpenAsync();
        int lost = 0;
        for (int round = 0; round < 20; round++)
        {
            await Task.WhenAll(new[] { Store, other }.SelectMany(store => Enumerable.Range(0, 4).Select(async n =>
            {
                try
                {
                    await store.CommitAsync(Append($"{round}-{n}", 0, new Counted(1)), Token);
                }
                catch (ConcurrencyException)
                {
                    Interlocked.Increment(ref lost);
                }
            })));
        }

        Assert.Equal(80, lost);
        Assert.Equal(80, await ScalarAsync<long>("select count(*) from mesh.mt_events"));
        Assert.Equal(80, await ScalarAsync<long>("select last_value from mesh.mt_events_sequence"));
    }

    /// <summary>One event in plain SQL with the locks of Marten's Quick mode: a new stream's row, the event, the stream's row.</summary>
    private async Task ForeignAppendAsync(NpgsqlConnection connection, string stream, long expectedVersion, int value)
    {
        await ForeignInsertAsync(connection, stream, expectedVersion, value);
        await ForeignMoveStreamAsync(connection, stream, expectedVersion);
    }

    private async Task ForeignInsertAsync(NpgsqlConnection connection, string stream, long expectedVersion, int value)
    {
        if (expectedVersion == 0)
        {
            await ExecuteAsync(connection, $"insert into mesh.mt_streams (id, type, version, timestamp, created, tenant_id, is_archived) values ('{stream}', 'test', 0, now(), now(), '*DEFAULT*', false)");
        }

        await ExecuteAsync(
            connection,
            $$"""
            insert into mesh.mt_events (seq_id, id, stream_id, version, data, type, timestamp, tenant_id, mt_dotnet_type, is_archived)
            values (nextval('mesh.mt_events_sequence'), gen_random_uuid(), '{{stream}}', {{expectedVersion + 1}}, '{"value": {{value}}}', 'counted', now(), '*DEFAULT*',
                    'SpecMesh.EventStore.Tests.Counted, SpecMesh.EventStore.Tests', false)
            """);
    }

    private Task ForeignMoveStreamAsync(NpgsqlConnection connection, string stream, long expectedVersion) =>
        ExecuteAsync(connection, $"update mesh.mt_streams set version = {expectedVersion + 1}, timestamp = now() where id = '{stream}'");

    private async Task ExecuteAsync(NpgsqlConnection connection, string sql)
    {
        await using NpgsqlCommand command = new(sql, connection);
        await command.ExecuteNonQueryAsync(Token);
    }

    private async Task<List<T>> ColumnAsync<T>(string sql)
    {
        await using NpgsqlCommand command = source.CreateCommand(sql);
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync(Token);
        List<T> column = [];
        while (await reader.ReadAsync(Token))
        {
            column.Add(reader.GetFieldValue<T>(0));
        }

        return column;
    }

    /// <summary>Looks until a backend of the store waits for a lock of somebody else.</summary>
    /// <returns>Its process id.</returns>
    private async Task<int> BlockedBackendAsync()
    {
        while (true)
        {
            List<int> blocked = await ColumnAsync<int>(
                "select pid from pg_stat_activity where datname = current_database() and application_name = 'specmesh' and wait_event_type = 'Lock' and cardinality(pg_blocking_pids(pid)) > 0");
            if (blocked.Count > 0)
            {
                return blocked[0];
            }
        }
    }
}
