using Npgsql;

namespace SpecMesh.ControlPlane.Bench;

/// <summary>What the database has done so far.</summary>
/// <param name="WritingTransactions">Transaction ids drawn: only transactions that write draw one, so this counts the commits that must reach the disk.</param>
/// <param name="AppendCommits">Transactions that have appended events.</param>
/// <param name="Events">Rows in <c>mt_events</c>.</param>
/// <param name="OutboxRows">Rows that were ever put into the outbox.</param>
/// <param name="WaitingRows">Rows that are in the outbox now: deadlines, nearly all of them.</param>
/// <param name="Commits">Committed transactions of any kind, reads included, as the server's statistics have them by now.</param>
internal sealed record StoreCounts(long WritingTransactions, long AppendCommits, long Events, long OutboxRows, long WaitingRows, long Commits);

/// <summary>Reads the database's counters.</summary>
internal sealed class StoreReader : IAsyncDisposable
{
    private readonly NpgsqlDataSource source;

    public StoreReader(string url) => source = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(ConnectionStringOf(url)) { MaxPoolSize = 1, ApplicationName = "bench" });

    /// <summary>Npgsql's form of the store's URL.</summary>
    public static string ConnectionStringOf(string url)
    {
        Uri parsed = new(url);
        string[] user = parsed.UserInfo.Split(':', 2);
        return new NpgsqlConnectionStringBuilder
        {
            Host = parsed.Host,
            Port = parsed.Port,
            Username = Uri.UnescapeDataString(user[0]),
            Password = Uri.UnescapeDataString(user[1]),
            Database = parsed.AbsolutePath.TrimStart('/'),
        }.ToString();
    }

    public async Task<StoreCounts> ReadAsync()
    {
        // The rows of a table are the versions of its writers: xmin is the transaction that wrote a row, and events are never updated.
        await using NpgsqlCommand command = source.CreateCommand(
            """
            select pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
                   (select count(distinct xmin::text) from mesh.mt_events),
                   (select count(*) from mesh.mt_events),
                   (select coalesce(last_value, 0) from pg_sequences where schemaname = 'mesh_own' and sequencename = 'outbox_id_seq'),
                   (select count(*) from mesh_own.outbox),
                   (select xact_commit from pg_stat_database where datname = current_database())
            """);
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync();
        await reader.ReadAsync();
        return new StoreCounts(reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetInt64(4), reader.GetInt64(5));
    }

    /// <summary>Mean length of an event's JSON, and the server's settings for durability.</summary>
    public async Task<(int EventBytes, string Durability)> DescribeAsync()
    {
        await using NpgsqlCommand command = source.CreateCommand(
            """
            select (select avg(length(data::text))::int from mesh.mt_events),
                   'fsync ' || current_setting('fsync') || ', synchronous_commit ' || current_setting('synchronous_commit') || ', full_page_writes ' || current_setting('full_page_writes')
                   || ', PostgreSQL ' || current_setting('server_version')
            """);
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync();
        await reader.ReadAsync();
        return (reader.GetInt32(0), reader.GetString(1));
    }

    public ValueTask DisposeAsync() => source.DisposeAsync();
}
