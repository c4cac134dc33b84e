using Microsoft.Data.Sqlite;

namespace SpecMesh.EventStore.Sqlite;

/// <summary>The tables of the embedded store: the same logical tables as in PostgreSQL, with the types that SQLite has.</summary>
internal static class SqliteSchema
{
    /// <summary>
    /// Uuids and times are text, so that they read back exactly and an operator can read the file with any SQLite shell.
    /// AUTOINCREMENT never hands a number out twice, and takes it back when the transaction is rolled back: there are no gaps.
    /// </summary>
    private const string Create =
        """
        create table if not exists mt_streams (
            id text not null primary key,
            type text,
            version integer not null,
            timestamp text not null,
            created text not null,
            tenant_id text not null default '*DEFAULT*',
            is_archived integer not null default 0);
        create table if not exists mt_events (
            seq_id integer primary key autoincrement,
            id text not null,
            stream_id text not null references mt_streams (id) on delete cascade,
            version integer not null,
            data text not null,
            type text not null,
            timestamp text not null,
            tenant_id text not null default '*DEFAULT*',
            mt_dotnet_type text,
            correlation_id text,
            causation_id text,
            headers text,
            is_archived integer not null default 0);
        create unique index if not exists pk_mt_events_stream_and_version on mt_events (stream_id, version);
        create table if not exists outbox (
            id integer primary key autoincrement,
            service text not null,
            message_id text not null,
            type text not null,
            body text not null,
            destination text,
            due_at text,
            created_at text not null,
            trace_parent text,
            about text);
        create index if not exists ix_outbox_service_due on outbox (service, due_at);
        create table if not exists checkpoints (
            subscription text not null primary key,
            sequence integer not null);
        """;

    // SQLite has no "add column if not exists".
    private const string LacksAbout = "select not exists (select 1 from pragma_table_info('outbox') where name = 'about')";
    private const string AddAbout = "alter table outbox add column about text";
    private const string IndexAbout = "create index if not exists ix_outbox_service_about on outbox (service, about) where about is not null";

    /// <summary>Creates what is missing, also in the file of an older version.</summary>
    public static void CreateIn(SqliteConnection connection, SqliteTransaction transaction)
    {
        Execute(Create);
        using (SqliteCommand lacks = SqliteCommit.Command(connection, transaction, LacksAbout))
        {
            if (lacks.ExecuteScalar() is 1L)
            {
                Execute(AddAbout);
            }
        }

        Execute(IndexAbout);

        void Execute(string sql)
        {
            using SqliteCommand command = SqliteCommit.Command(connection, transaction, sql);
            command.ExecuteNonQuery();
        }
    }
}
