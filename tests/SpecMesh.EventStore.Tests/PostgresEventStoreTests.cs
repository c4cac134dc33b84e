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

    [StoreFact]
    public async Task a_plan_that_was_made_while_the_outbox_was_empty_finds_its_rows_by_an_index_when_it_is_full()
    {
        await ExecuteAsync("vacuum analyze mesh_own.outbox");
        NpgsqlConnectionStringBuilder own = new(connectionString) { Options = PostgresEventStore.PlanSettings, Pooling = false };
        await using NpgsqlConnection connection = new(own.ToString());
        await connection.OpenAsync(Token);
        await using NpgsqlCommand prepare = new($"prepare take (text, timestamptz, int) as {PostgresDispatch.Take}", connection);
        await prepare.ExecuteNonQueryAsync(Token);
        await using NpgsqlCommand first = new($"execute take('{Service}', now(), 10)", connection);
        await first.ExecuteNonQueryAsync(Token);
        await Store.CommitAsync(Send([.. Enumerable.Range(0, 500).Select(value => Message(value, Clock.GetUtcNow().AddSeconds(10)))]), Token);

        await using NpgsqlCommand explain = new($"explain execute take('{Service}', now(), 10)", connection);
        List<string> plan = [];
        await using (NpgsqlDataReader reader = await explain.ExecuteReaderAsync(Token))
        {
            while (await reader.ReadAsync(Token))
            {
                plan.Add(reader.GetString(0));
            }
        }

        Assert.Contains(plan, line => line.Contains("ix_outbox_service_due_at", StringComparison.Ordinal));
        Assert.DoesNotContain(plan, line => line.Contains("Seq Scan", StringComparison.Ordinal));
        Assert.Contains(plan, line => line.Contains("service = $1", StringComparison.Ordinal));
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
