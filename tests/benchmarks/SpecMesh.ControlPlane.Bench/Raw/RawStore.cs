using Npgsql;
using NpgsqlTypes;
using SpecMesh.ControlPlane.Bench.Load;

namespace SpecMesh.ControlPlane.Bench.Raw;

/// <summary>
/// The same commits and rows with nothing but Npgsql: events into a table with Marten's two indexes, outbox rows into a table with its two, and the deletes of these rows;
/// prepared statements, one round trip per commit, as many connections as operations are under way. No expected version, no lock, no read.
/// </summary>
internal sealed class RawStore(string url, int connections, int bodyBytes)
{
    private readonly string body = "{\"padding\":\"" + new string('x', Math.Max(1, bodyBytes - 14)) + "\"}";

    public async Task CreateAsync()
    {
        await using NpgsqlDataSource source = Open();
        await using NpgsqlCommand command = source.CreateCommand(
            """
            create schema raw;
            create table raw.events (seq_id bigint generated always as identity primary key, stream_id varchar not null, version bigint not null, type varchar not null, data jsonb not null,
                "timestamp" timestamptz not null default now());
            create unique index on raw.events (stream_id, version);
            create table raw.outbox (id bigint generated always as identity primary key, service text not null, message_id uuid not null, type text not null, body jsonb not null, due_at timestamptz);
            create index on raw.outbox (service, due_at);
            """);
        await command.ExecuteNonQueryAsync();
    }

    /// <summary>Commits what so many operations commit.</summary>
    public async Task RunAsync(OperationCost cost, int operations)
    {
        int appends = Spread.Of(cost.AppendCommits, operations);
        int deletes = Spread.Of(cost.OtherCommits, operations);
        int events = Spread.Of(cost.Events, operations);
        int messages = Spread.Of(cost.OutboxRows, operations);
        await using NpgsqlDataSource source = Open();
        int next = -1;
        int deleted = 0;
        await Task.WhenAll(Enumerable.Range(0, connections).Select(_ => Task.Run(WorkAsync)));

        async Task WorkAsync()
        {
            await using NpgsqlConnection connection = await source.OpenConnectionAsync();
            string stream = Guid.NewGuid().ToString("N");
            long version = 0;
            List<long> waiting = [];
            for (int n = Interlocked.Increment(ref next); n < appends; n = Interlocked.Increment(ref next))
            {
                int rows = Math.Max(1, Spread.At(n, events, appends));
                waiting.AddRange(await AppendAsync(connection, stream, version, rows, Spread.At(n, messages, appends)));
                version += rows;
                for (int left = Spread.At(n, deletes, appends); left > 0; left--)
                {
                    int share = Math.Min(waiting.Count, Spread.At(Interlocked.Increment(ref deleted) % deletes, messages, deletes));
                    await DeleteAsync(connection, waiting[..share]);
                    waiting.RemoveRange(0, share);
                }
            }
        }
    }

    private NpgsqlDataSource Open() => NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(StoreReader.ConnectionStringOf(url))
    {
        MaxAutoPrepare = 20,
        AutoPrepareMinUsages = 2,
        ApplicationName = "raw",
    });

    private async Task<List<long>> AppendAsync(NpgsqlConnection connection, string stream, long version, int events, int messages)
    {
        await using NpgsqlBatch batch = new(connection);
        batch.BatchCommands.Add(new NpgsqlBatchCommand("insert into raw.events (stream_id, version, type, data) select $1, v, 'raw', d from unnest($2, $3) as e (v, d)")
        {
            Parameters =
            {
                new NpgsqlParameter<string> { TypedValue = stream },
                new NpgsqlParameter<long[]> { TypedValue = [.. Enumerable.Range(1, events).Select(n => version + n)] },
                Bodies(events),
            },
        });
        if (messages > 0)
        {
            batch.BatchCommands.Add(new NpgsqlBatchCommand("insert into raw.outbox (service, message_id, type, body) select 'raw', m, 'raw', b from unnest($1, $2) as o (m, b) returning id")
            {
                Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = [.. Enumerable.Range(0, messages).Select(_ => Guid.NewGuid())] }, Bodies(messages) },
            });
        }

        List<long> ids = [];
        await using NpgsqlDataReader reader = await batch.ExecuteReaderAsync();
        while (await reader.ReadAsync())
        {
            ids.Add(reader.GetInt64(0));
        }

        return ids;
    }

    private NpgsqlParameter Bodies(int count) => new() { NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Jsonb, Value = Enumerable.Repeat(body, count).ToArray() };

    private static async Task DeleteAsync(NpgsqlConnection connection, List<long> ids)
    {
        // A commit without rows draws no transaction id and reaches no disk; one that is owed must.
        await using NpgsqlCommand command = new(ids.Count > 0 ? "delete from raw.outbox where id = any ($1)" : "select pg_current_xact_id()", connection);
        if (ids.Count > 0)
        {
            command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. ids] });
        }

        await command.ExecuteNonQueryAsync();
    }
}
