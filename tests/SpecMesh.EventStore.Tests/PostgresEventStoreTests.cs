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
