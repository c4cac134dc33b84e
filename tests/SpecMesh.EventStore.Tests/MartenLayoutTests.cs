using System.Text.Json;
using Npgsql;
using SpecMesh.Contracts;
using SpecMesh.EventStore.Postgres;

namespace SpecMesh.EventStore.Tests;

/// <summary>
/// The contract with Marten 9 that can be held without Marten: the tables as it creates them, the names that it gives to types, and the JSON of its serializer with enums as
/// strings and camel case. The tables' fixed text below was taken from a database that Marten 9.29 had created.
/// </summary>
[NeedsPostgres]
[Collection(PostgresCollection.Name)]
public sealed class MartenLayoutTests(PostgresServer server) : IAsyncLifetime
{
    private string connectionString = null!;
    private NpgsqlDataSource source = null!;

    public async Task InitializeAsync()
    {
        connectionString = await server.CreateDatabaseAsync();
        source = NpgsqlDataSource.Create(connectionString);
        await using PostgresEventStore store = new(connectionString, Records.Types, TimeProvider.System);
        await store.InitializeAsync(CancellationToken.None);
        await store.InitializeAsync(CancellationToken.None);
    }

    public async Task DisposeAsync()
    {
        await source.DisposeAsync();
        await server.DropDatabaseAsync(connectionString);
    }

    [StoreFact]
    public async Task the_columns_are_martens()
    {
        string[] expected =
        [
            "mt_event_progression.1 name character varying not null",
            "mt_event_progression.2 last_seq_id bigint null",
            "mt_event_progression.3 last_updated timestamp with time zone null default transaction_timestamp()",
            "mt_events.1 seq_id bigint not null",
            "mt_events.2 id uuid not null",
            "mt_events.3 stream_id character varying null",
            "mt_events.4 version bigint not null",
            "mt_events.5 data jsonb not null",
            "mt_events.6 bdata bytea null",
            "mt_events.7 type character varying(500) not null",
            "mt_events.8 timestamp timestamp with time zone not null default now()",
            "mt_events.9 tenant_id character varying null default '*DEFAULT*'::character varying",
            "mt_events.10 mt_dotnet_type character varying null",
            "mt_events.11 correlation_id character varying null",
            "mt_events.12 causation_id character varying null",
            "mt_events.13 headers jsonb null",
            "mt_events.14 is_archived boolean null default false",
            "mt_high_water_skips.1 ending_sequence bigint not null",
            "mt_high_water_skips.2 starting_sequence bigint not null",
            "mt_high_water_skips.3 timestamp timestamp with time zone null default transaction_timestamp()",
            "mt_streams.1 id character varying not null",
            "mt_streams.2 type character varying null",
            "mt_streams.3 version bigint null",
            "mt_streams.4 timestamp timestamp with time zone not null default now()",
            "mt_streams.5 created timestamp with time zone not null default now()",
            "mt_streams.6 tenant_id character varying null default '*DEFAULT*'::character varying",
            "mt_streams.7 is_archived boolean null default false",
        ];
        Assert.Equal(expected, await LinesAsync(
            """
            select concat(table_name, '.', ordinal_position, ' ', column_name, ' ', data_type, '(' || character_maximum_length || ')',
                          case is_nullable when 'NO' then ' not null' else ' null' end, ' default ' || column_default)
            from information_schema.columns where table_schema = 'mesh' order by table_name, ordinal_position
            """));
    }

    [StoreFact]
    public async Task constraints_indexes_and_the_sequence_are_martens_and_nothing_else_is_in_its_schema()
    {
        Assert.Equal(
            [
                "mt_event_progression pk_mt_event_progression PRIMARY KEY (name)",
                "mt_events fkey_mt_events_stream_id FOREIGN KEY (stream_id) REFERENCES mesh.mt_streams(id) ON DELETE CASCADE",
                "mt_events pkey_mt_events_seq_id PRIMARY KEY (seq_id)",
                "mt_high_water_skips pkey_mt_high_water_skips_ending_sequence PRIMARY KEY (ending_sequence)",
                "mt_streams pkey_mt_streams_id PRIMARY KEY (id)",
            ],
            await LinesAsync(
                """
                select concat_ws(' ', c.relname, k.conname, pg_get_constraintdef(k.oid)) from pg_constraint k join pg_class c on c.oid = k.conrelid
                where k.connamespace = 'mesh'::regnamespace and k.contype <> 'n' order by c.relname, k.conname collate "C"
                """));
        Assert.Equal(
            [
                "CREATE UNIQUE INDEX pk_mt_event_progression ON mesh.mt_event_progression USING btree (name)",
                "CREATE UNIQUE INDEX pk_mt_events_stream_and_version ON mesh.mt_events USING btree (stream_id, version)",
                "CREATE UNIQUE INDEX pkey_mt_events_seq_id ON mesh.mt_events USING btree (seq_id)",
                "CREATE UNIQUE INDEX pkey_mt_high_water_skips_ending_sequence ON mesh.mt_high_water_skips USING btree (ending_sequence)",
                "CREATE UNIQUE INDEX pkey_mt_streams_id ON mesh.mt_streams USING btree (id)",
            ],
            await LinesAsync("""select indexdef from pg_indexes where schemaname = 'mesh' order by indexname collate "C" """));
        Assert.Equal(
            ["mt_events_sequence bigint start 1 increment 1 min 1 cache 1 cycle f owned by mt_events.seq_id"],
            await LinesAsync(
                """
                select concat(s.sequencename, ' ', s.data_type, ' start ', s.start_value, ' increment ', s.increment_by, ' min ', s.min_value, ' cache ', s.cache_size, ' cycle ', s.cycle,
                              ' owned by ', c.relname, '.', a.attname)
                from pg_sequences s
                join pg_depend d on d.objid = 'mesh.mt_events_sequence'::regclass and d.deptype = 'a'
                join pg_class c on c.oid = d.refobjid join pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid
                where s.schemaname = 'mesh'
                """));
        Assert.Empty(await LinesAsync(
            """
            select proname::text from pg_proc where pronamespace = 'mesh'::regnamespace
            union all select tgname::text from pg_trigger where not tgisinternal
            union all select relname::text from pg_class where relnamespace = 'mesh'::regnamespace and relkind in ('r', 'v', 'm', 'p')
                and relname not in ('mt_events', 'mt_streams', 'mt_event_progression', 'mt_high_water_skips')
            """));
    }

    private async Task<List<string>> LinesAsync(string sql)
    {
        await using NpgsqlCommand command = source.CreateCommand(sql);
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync();
        List<string> lines = [];
        while (await reader.ReadAsync())
        {
            lines.Add(reader.GetString(0));
        }

        return lines;
    }
}

/// <summary>Names and JSON, which need no server.</summary>
public sealed class MartenNamesTests
{
    [Theory]
    [InlineData("OpAccepted", "op_accepted")]
    [InlineData("VMOpV2Done", "vm_op_v2_done")]
    [InlineData("VmOpV2Done", "vm_op_v2_done")]
    [InlineData("HTTPServerStarted", "http_server_started")]
    [InlineData("DirtyRound2Completed", "dirty_round_2_completed")]
    [InlineData("Round2", "round_2")]
    [InlineData("IOError", "io_error")]
    [InlineData("UTF8Thing", "utf8_thing")]
    [InlineData("Already_Snake", "already___snake")]
    [InlineData("Op", "op")]
    [InlineData("ReplicaReady", "replica_ready")]
    public void marten_alias_of_a_type_name(string name, string alias) => Assert.Equal(alias, EventTypes.AliasOf(name));

    [Fact]
    public void two_types_with_one_alias_are_rejected()
    {
        ArgumentException rejected = Assert.Throws<ArgumentException>(() => new EventTypes([typeof(Outer.VMMoved), typeof(VmMoved)], ContractJson.Options));
        Assert.Contains("vm_moved", rejected.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new EventTypes([typeof(Outer.VmMoved), typeof(VmMoved)], ContractJson.Options));
    }

    [Fact]
    public void every_stored_contract_has_an_alias_of_its_own()
    {
        EventTypes types = new(ContractCatalogue.StoredEvents, ContractJson.Options);
        string[] aliases = [.. ContractCatalogue.StoredEvents.Select(types.AliasOf)];
        Assert.Equal(aliases.Length, aliases.Distinct(StringComparer.Ordinal).Count());
        Assert.All(aliases, alias => Assert.Matches("^[a-z]+(_[a-z]+)*$", alias));
    }

    [Fact]
    public void a_record_is_written_in_camel_case_with_enums_as_strings() => Assert.Equal(
        """{"operationId":"11111111-2222-4333-8444-555555555555","replica":0,"epoch":3,"kind":"PowerOn","vmId":"vm-1","hostId":"h1","sourceHostId":null,"vm":{"memoryBytes":4096,"writePagesPerSecond":0.5,"seed":18446744073709551615},"ownershipVersion":7,"cost":{"timeoutSeconds":null}}""",
        Records.Types.Write(new StartReplica(
            Guid.Parse("11111111-2222-4333-8444-555555555555"), 0, 3, OperationKind.PowerOn, "vm-1", "h1", null, new VmDefinition(4096, 0.5, ulong.MaxValue), 7, new CostLimits())));

    [Fact]
    public void the_wrong_casing_or_a_number_for_an_enum_does_not_pass_for_a_record()
    {
        Assert.Throws<JsonException>(() => Records.Types.Read("operation_opened", """{"vmId":"vm-1","operationId":"11111111-2222-4333-8444-555555555555","kind":1,"epoch":0}"""));
        OperationOpened pascal = (OperationOpened)Records.Types.Read("operation_opened", """{"VmId":"vm-1","Kind":"Migrate"}""");
        Assert.Null(pascal.VmId);
    }

    private sealed record VmMoved;

    private static class Outer
    {
        internal sealed record VMMoved;

        internal sealed record VmMoved;
    }
}
