using Npgsql;
using SpecMesh.EventStore.Postgres;

namespace SpecMesh.EventStore.Tests;

[NeedsPostgres]
[Collection(PostgresCollection.Name)]
public sealed partial class PostgresEventStoreTests(PostgresServer server) : EventStoreCompliance
{
    private NpgsqlDataSource source = null!;
    private string connectionString = null!;

    public override async Task InitializeAsync()
    {
        connectionString = await server.CreateDatabaseAsync();
        source = NpgsqlDataSource.Create(connectionString);
        await base.InitializeAsync();
    }

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        await source.DisposeAsync();
        await server.DropDatabaseAsync(connectionString);
    }

    protected override IEventStore Create(EventTypes types) => new PostgresEventStore(connectionString, types, Clock, gapPatience: TimeSpan.Zero);

    protected override Task BreakOutboxAsync() => ExecuteAsync(
        """
        create function broken() returns trigger language plpgsql as $$ begin raise exception 'broken on purpose'; end $$;
        create trigger broken before insert on mesh_own.outbox for each row execute function broken();
        """);

    protected override Task MendOutboxAsync() => ExecuteAsync("drop function broken() cascade");

    [StoreFact]
    public async Task a_database_of_before_gets_what_taking_back_needs_and_keeps_its_messages()
    {
        await Store.CommitAsync(Send(Message(1, Clock.GetUtcNow().AddSeconds(10))), Token);
        await ExecuteAsync("drop index mesh_own.ix_outbox_service_about; alter table mesh_own.outbox drop column about");

        await using IEventStore upgraded = await OpenAsync();
        await upgraded.CommitAsync(Send(Message(2, Clock.GetUtcNow().AddSeconds(10)) with { About = "x" }), Token);
        await upgraded.CommitAsync(Send() with { TakenBack = ["x"] }, Token);

        Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal([1], await DispatchAsync());
        Assert.Contains("where (about is not null)", (await ScalarAsync<string>("select indexdef from pg_indexes where indexname = 'ix_outbox_service_about'")).ToLowerInvariant(), StringComparison.Ordinal);
    }

    private async Task ExecuteAsync(string sql)
    {
        await using NpgsqlCommand command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync(Token);
    }

    private async Task<T> ScalarAsync<T>(string sql)
    {
        await using NpgsqlCommand command = source.CreateCommand(sql);
        return (T)(await command.ExecuteScalarAsync(Token))!;
    }
}
