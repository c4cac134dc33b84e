using Microsoft.Data.Sqlite;
using SpecMesh.EventStore.Sqlite;

namespace SpecMesh.EventStore.Tests;

public sealed class SqliteEventStoreTests : EventStoreCompliance
{
    private readonly string folder = Path.Combine(Path.GetTempPath(), $"specmesh-sqlite-{Guid.NewGuid():N}");

    private string File => Path.Combine(folder, "store.db");

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        SqliteConnection.ClearAllPools();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task what_a_crash_leaves_of_an_open_transaction_is_nothing()
    {
        await Store.CommitAsync(Append("a", 0, new Counted(1)) with { Messages = [Message(1)] }, Token);
        string copy = Path.Combine(folder, "after-the-crash.db");
        await using (SqliteConnection dying = new($"Data Source={File};Pooling=False"))
        {
            // With so small a cache the transaction's pages go to the files before it commits, as they would under memory pressure.
            dying.Open();
            Execute(dying, "pragma cache_size = 2; begin immediate");
            for (int version = 2; version < 400; version++)
            {
                Execute(dying, $"insert into mt_events (id, stream_id, version, data, type, timestamp) values ('{Guid.NewGuid()}', 'a', {version}, '{{\"value\":{version}}}', 'counted', '2026-01-01T00:00:00.000000Z')");
            }

            // The files as they lie on the disk now are what a power cut would leave.
            System.IO.File.Copy(File, copy);
            System.IO.File.Copy($"{File}-wal", $"{copy}-wal");
            Execute(dying, "rollback");
        }

        await using SqliteEventStore survivor = new(copy, Records.Types, Clock);
        await survivor.InitializeAsync(Token);
        Assert.Single(await survivor.ReadStreamAsync("a", 0, 1000, Token));
        await survivor.CommitAsync(Append("a", 1, new Counted(2)), Token);
        Assert.Equal(2, (await ReadAllAsync(survivor)).Count);
    }

    [Fact]
    public async Task a_file_of_before_gets_what_taking_back_needs_and_keeps_its_messages()
    {
        await Store.CommitAsync(Send(Message(1, Clock.GetUtcNow().AddSeconds(10))), Token);
        await using (SqliteConnection older = new($"Data Source={File};Pooling=False"))
        {
            older.Open();
            Execute(older, "drop index ix_outbox_service_about; alter table outbox drop column about");
        }

        await using IEventStore upgraded = await OpenAsync();
        await upgraded.CommitAsync(Send(Message(2, Clock.GetUtcNow().AddSeconds(10)) with { About = "x" }), Token);
        await upgraded.CommitAsync(Send() with { TakenBack = ["x"] }, Token);

        Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal([1], await DispatchAsync());
    }

    [Fact]
    public async Task commits_that_share_a_transaction_succeed_and_fail_each_for_itself()
    {
        await Store.CommitAsync(Append("taken", 0, new Counted(0)), Token);
        List<Task> commits = [];
        for (int i = 0; i < 40; i++)
        {
            commits.Add(Store.CommitAsync(i % 4 == 0 ? Append("taken", 0, new Counted(i)) : Append($"free-{i}", 0, new Counted(i)), Token));
        }

        await Task.WhenAll(commits).ContinueWith(_ => { }, Token, TaskContinuationOptions.None, TaskScheduler.Default);

        Assert.Equal(10, commits.Count(commit => commit.Exception?.InnerException is ConcurrencyException));
        Assert.Equal(30, commits.Count(commit => commit.IsCompletedSuccessfully));
        List<StoredEvent> all = await ReadAllAsync(Store);
        Assert.Equal(Enumerable.Range(1, 31).Select(sequence => (long)sequence), all.Select(stored => stored.Sequence));
    }

    [Fact]
    public async Task an_archived_stream_takes_no_appends_and_shows_no_events()
    {
        await Store.CommitAsync(Append("a", 0, new Counted(1)), Token);
        await using SqliteConnection connection = new($"Data Source={File};Pooling=False");
        connection.Open();
        Execute(connection, "update mt_streams set is_archived = 1; update mt_events set is_archived = 1");

        await Assert.ThrowsAsync<InvalidOperationException>(() => Store.CommitAsync(Append("a", 1, new Counted(2)), Token));
        Assert.Empty(await Store.ReadStreamAsync("a", 0, 10, Token));
        EventPage page = await Store.ReadAllAsync(0, 10, Token);
        Assert.Empty(page.Events);
        Assert.Equal(1, page.NextSequence);
    }

    protected override IEventStore Create(EventTypes types) => new SqliteEventStore(File, types, Clock);

    protected override Task BreakOutboxAsync() => ExecuteAsync("create trigger broken before insert on outbox begin select raise(abort, 'broken on purpose'); end");

    protected override Task MendOutboxAsync() => ExecuteAsync("drop trigger broken");

    private async Task ExecuteAsync(string sql)
    {
        await using SqliteConnection connection = new($"Data Source={File};Pooling=False");
        connection.Open();
        Execute(connection, sql);
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
