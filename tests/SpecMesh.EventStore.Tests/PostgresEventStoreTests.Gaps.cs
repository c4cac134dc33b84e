using Npgsql;
using SpecMesh.EventStore.Postgres;

namespace SpecMesh.EventStore.Tests;

public sealed partial class PostgresEventStoreTests
{
    [StoreFact]
    public async Task an_event_that_commits_late_is_waited_for_and_read_in_its_place()
    {
        await Store.CommitAsync(Append("a", 0, new Counted(1)), Token);
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(Token);
        await using NpgsqlTransaction late = await connection.BeginTransactionAsync(Token);
        await ForeignAppendAsync(connection, "late", 0, 2);
        await Store.CommitAsync(Append("b", 0, new Counted(3)), Token);

        for (int look = 0; look < 5; look++)
        {
            EventPage page = await Store.ReadAllAsync(0, 100, Token);
            Assert.Equal([1L], page.Events.Select(stored => stored.Sequence));
            Assert.Equal(1, page.NextSequence);
            Assert.Equal(1, (await Store.ReadAllAsync(1, 100, Token)).NextSequence);
        }

        await late.CommitAsync(Token);
        Assert.Equal([1, 2, 3], (await ReadAllAsync(Store)).Select(stored => ((Counted)stored.Data).Value));
    }

    [StoreFact]
    public async Task a_number_drawn_by_an_open_transaction_that_has_written_nothing_yet_is_waited_for()
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(Token);
        await using NpgsqlTransaction open = await connection.BeginTransactionAsync(Token);
        await ExecuteAsync(connection, "select nextval('mesh.mt_events_sequence')");
        await Store.CommitAsync(Append("b", 0, new Counted(2)), Token);

        Assert.Equal(0, (await Store.ReadAllAsync(0, 100, Token)).NextSequence);
        await open.RollbackAsync(Token);
        Assert.Equal([2L], (await ReadAllAsync(Store)).Select(stored => stored.Sequence));
    }

    [StoreFact]
    public async Task gaps_of_ended_transactions_are_passed()
    {
        await ExecuteAsync("select nextval('mesh.mt_events_sequence') from generate_series(1, 3)");
        await Store.CommitAsync(Append("a", 0, new Counted(1)), Token);
        await ExecuteAsync("select nextval('mesh.mt_events_sequence') from generate_series(1, 2)");
        await Store.CommitAsync(Append("a", 1, new Counted(2)), Token);
        await using (NpgsqlConnection dying = await source.OpenConnectionAsync(Token))
        {
            await using NpgsqlTransaction never = await dying.BeginTransactionAsync(Token);
            await ForeignAppendAsync(dying, "dead", 0, 3);
            await ExecuteAsync($"select pg_terminate_backend({dying.ProcessID}, 60000)");
        }

        await Store.CommitAsync(Append("a", 2, new Counted(4)), Token);

        Assert.Equal([4L, 7L, 9L], (await ReadAllAsync(Store)).Select(stored => stored.Sequence));
        Assert.Empty(await Store.ReadStreamAsync("dead", 0, 10, Token));
    }

    [StoreFact]
    public async Task an_open_transaction_that_has_nothing_to_do_with_events_holds_nobody_up()
    {
        await using NpgsqlConnection idle = await source.OpenConnectionAsync(Token);
        await using NpgsqlTransaction backup = await idle.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead, Token);
        await ExecuteAsync(idle, "create table elsewhere (id int); select count(*) from mesh.mt_events");
        await ExecuteAsync("select nextval('mesh.mt_events_sequence')");
        await Store.CommitAsync(Append("a", 0, new Counted(1)), Token);

        Assert.Single(await ReadAllAsync(Store));
    }

    [StoreFact]
    public async Task an_event_of_a_prepared_transaction_is_waited_for()
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(Token);
        await ExecuteAsync(connection, "begin");
        await ForeignAppendAsync(connection, "prepared", 0, 1);
        await Store.CommitAsync(Append("b", 0, new Counted(2)), Token);
        Assert.Equal(0, (await Store.ReadAllAsync(0, 100, Token)).NextSequence);
        string name = new NpgsqlConnectionStringBuilder(connectionString).Database!;
        await ExecuteAsync(connection, $"prepare transaction '{name}'");

        Assert.Equal(0, (await Store.ReadAllAsync(0, 100, Token)).NextSequence);
        await ExecuteAsync($"commit prepared '{name}'");
        Assert.Equal([1, 2], (await ReadAllAsync(Store)).Select(stored => ((Counted)stored.Data).Value));
    }

    [StoreFact]
    public async Task a_gap_is_not_passed_before_the_patience_is_over()
    {
        await ExecuteAsync("select nextval('mesh.mt_events_sequence')");
        await Store.CommitAsync(Append("a", 0, new Counted(1)), Token);
        await using PostgresEventStore patient = new(connectionString, Records.Types, Clock, gapPatience: TimeSpan.FromDays(1));

        Assert.Equal(0, (await patient.ReadAllAsync(0, 10, Token)).NextSequence);
        Assert.Equal(0, (await patient.ReadAllAsync(0, 10, Token)).NextSequence);
        Assert.Single(await ReadAllAsync(Store));
    }

    [StoreFact]
    public async Task no_event_is_missed_while_transactions_overlap_and_roll_back_at_random()
    {
        const int writers = 6, each = 40;
        using CancellationTokenSource written = new();

        // Several readers without a pause on one store: what one of them learns about gaps, the others use while their own reads are under way.
        Task<List<long>>[] readers = [.. Enumerable.Range(0, 3).Select(_ => Task.Run(ReadAsync))];
        await Task.WhenAll(Enumerable.Range(0, writers).Select(writer => Task.Run(() => OverlapAsync(new Random(writer), $"w{writer}", each))));
        await written.CancelAsync();

        List<long> committed = await ColumnAsync<long>("select seq_id from mesh.mt_events order by seq_id");
        foreach (Task<List<long>> reader in readers)
        {
            Assert.Equal(committed, await reader);
        }

        Assert.True(committed[^1] > committed.Count, "some transaction was to roll back, or the test shows nothing");

        async Task<List<long>> ReadAsync()
        {
            List<long> seen = [];
            Subscription subscription = Subscription.FromStart(Store, stored => seen.Add(stored.Sequence));
            while (!written.IsCancellationRequested)
            {
                await subscription.CatchUpAsync(Token);
            }

            await subscription.CatchUpAsync(Token);
            return seen;
        }

        async Task OverlapAsync(Random random, string stream, int count)
        {
            await using NpgsqlConnection connection = await source.OpenConnectionAsync(Token);
            for (int version = 0; version < count;)
            {
                await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync(Token);
                await ForeignAppendAsync(connection, stream, version, version + 1);
                for (int idle = random.Next(4); idle > 0; idle--)
                {
                    // Round trips keep the transaction open while the others draw and commit.
                    await ExecuteAsync(connection, "select 1");
                }

                if (random.Next(3) == 0)
                {
                    await transaction.RollbackAsync(Token);
                }
                else
                {
                    await transaction.CommitAsync(Token);
                    version++;
                }
            }
        }
    }

    [StoreFact]
    public async Task a_lost_race_between_our_writers_burns_no_number()
    {
        const int writers = 8;
        for (int version = 0; version < 5; version++)
        {
            int expected = version;
            Task[] race = [.. Enumerable.Range(0, writers).Select(writer => Task.Run(() => Store.CommitAsync(Append("a", expected, new Counted(writer)), Token)))];
            await Task.WhenAll(race).ContinueWith(_ => { }, Token, TaskContinuationOptions.None, TaskScheduler.Default);
            Assert.Equal(writers - 1, race.Count(task => task.Exception?.InnerException is ConcurrencyException));
        }

        Assert.Equal(5, await ScalarAsync<long>("select last_value from mesh.mt_events_sequence"));
    }
}
