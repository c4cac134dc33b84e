-- The event store's tables. Those in the schema mesh are Marten 9's: names, types, constraints and indexes are a contract with every Marten application that opens this
-- database (StreamIdentity.AsString; correlation, causation and headers on). Nothing of our own may be added to them: Marten's schema migration drops it.
-- The one difference is allowed by Marten: mt_events.timestamp has now() as its default, where Marten writes the time at which it created the table.

create schema if not exists mesh;
create schema if not exists mesh_own;

create table if not exists mesh.mt_streams (
    id character varying not null,
    type character varying,
    version bigint,
    "timestamp" timestamp with time zone default now() not null,
    created timestamp with time zone default now() not null,
    tenant_id character varying default '*DEFAULT*'::character varying,
    is_archived boolean default false,
    constraint pkey_mt_streams_id primary key (id)
);

create table if not exists mesh.mt_events (
    seq_id bigint not null,
    id uuid not null,
    stream_id character varying,
    version bigint not null,
    data jsonb not null,
    bdata bytea,
    type character varying(500) not null,
    "timestamp" timestamp with time zone default now() not null,
    tenant_id character varying default '*DEFAULT*'::character varying,
    mt_dotnet_type character varying,
    correlation_id character varying,
    causation_id character varying,
    headers jsonb,
    is_archived boolean default false,
    constraint pkey_mt_events_seq_id primary key (seq_id),
    constraint fkey_mt_events_stream_id foreign key (stream_id) references mesh.mt_streams (id) on delete cascade
);

-- "create index if not exists" would lock the table against writers even where the index is there already.
do $$
begin
    if to_regclass('mesh.pk_mt_events_stream_and_version') is null then
        create unique index pk_mt_events_stream_and_version on mesh.mt_events using btree (stream_id, version);
    end if;
    if to_regclass('mesh.mt_events_sequence') is null then
        create sequence mesh.mt_events_sequence owned by mesh.mt_events.seq_id;
    end if;
end
$$;

create table if not exists mesh.mt_event_progression (
    name character varying not null,
    last_seq_id bigint,
    last_updated timestamp with time zone default transaction_timestamp(),
    constraint pk_mt_event_progression primary key (name)
);

create table if not exists mesh.mt_high_water_skips (
    ending_sequence bigint not null,
    starting_sequence bigint not null,
    "timestamp" timestamp with time zone default transaction_timestamp(),
    constraint pkey_mt_high_water_skips_ending_sequence primary key (ending_sequence)
);

-- Messages and deadlines that wait to leave. due_at is null for what leaves at once, so that a writer whose clock is ahead delays nothing. about is what a deadline is about, by
-- which it can be taken back; null for what always leaves.
create table if not exists mesh_own.outbox (
    id bigint generated always as identity (cache 1),
    service text not null,
    message_id uuid not null,
    type text not null,
    body jsonb not null,
    destination text,
    due_at timestamp with time zone,
    created_at timestamp with time zone not null,
    trace_parent text,
    about text,
    constraint pk_outbox primary key (id)
);

-- One index for what leaves at once and one for deadlines: thousands of these wait for every message that is on its way. One for those that can be taken back.
-- "add column if not exists" would wait for every dispatcher even where the column is there already.
do $$
begin
    if not exists (select from pg_attribute where attrelid = 'mesh_own.outbox'::regclass and attname = 'about') then
        alter table mesh_own.outbox add column about text;
    end if;
    if to_regclass('mesh_own.ix_outbox_service_about') is null then
        create index ix_outbox_service_about on mesh_own.outbox (service, about) where about is not null;
    end if;
    if to_regclass('mesh_own.ix_outbox_service_id') is null then
        create index ix_outbox_service_id on mesh_own.outbox (service, id) where due_at is null;
    end if;
    if to_regclass('mesh_own.ix_outbox_service_due_at') is null then
        create index ix_outbox_service_due_at on mesh_own.outbox (service, due_at) where due_at is not null;
    end if;
    drop index if exists mesh_own.ix_outbox_service_due;
end
$$;

create table if not exists mesh_own.checkpoints (
    subscription text not null,
    sequence bigint not null,
    constraint pk_checkpoints primary key (subscription)
);
