-- Raised errors: MT003 an event stream is not at the version expected of it (all such streams as a JSON array in the hint), MT001 it is archived (both as Marten's own function raises them), SM001 a checkpoint was moved by somebody else.

-- Holds every event stream of a commit against our other writers, in one order for all of them, so that they cannot wait for each other in a ring. Marten's writers take no
-- such lock, so it cannot take part in a ring with them either. The loser of two writers waits here, then sees the winner's version and leaves without having drawn a sequence
-- number. Without it the loser would find out at the unique index, and each lost race would leave a gap in the sequence, at which every reader has to stop and look.
create or replace function mesh_own.hold_streams(stream_ids varchar[]) returns void
language plpgsql as $$
declare
    stream_id varchar;
begin
    -- The transaction gets its id before anything else: Marten's high-water mark looks for it when it judges whether a gap may still be filled.
    perform pg_current_xact_id();
    foreach stream_id in array stream_ids loop
        perform pg_advisory_xact_lock(hashtextextended('mesh_own.hold_streams', hashtextextended(stream_id, 0)));
    end loop;
end
$$;

-- Raises MT003 when an event stream is not at its version, and names all that are not, as a JSON array, in the hint. For event streams that a decision was only read from, and
-- before several commits share a transaction: after the first of them has drawn its numbers, another's lost race would leave these numbers as a gap.
create or replace function mesh_own.expect_versions(stream_ids varchar[], expected_versions bigint[]) returns void
language plpgsql as $$
declare
    moved varchar[] := '{}';
    current_version bigint;
begin
    for i in 1 .. cardinality(stream_ids) loop
        select s.version into current_version from mesh.mt_streams s where s.id = stream_ids[i];
        if coalesce(current_version, 0) <> expected_versions[i] then
            moved := moved || stream_ids[i];
        end if;
    end loop;
    if cardinality(moved) > 0 then
        raise exception 'event streams are not at the versions expected of them' using errcode = 'MT003', hint = to_json(moved)::text;
    end if;
end
$$;

-- Appends to one event stream what Marten's quick append would: the same rows under the same locks in the same order (a new stream's row, then the events, then the row of a
-- stream that exists), so that a Marten application in QuickWithServerTimestamps mode and this function never deadlock. The version is checked before a number is drawn.
create or replace function mesh_own.append_events(
    stream varchar,
    stream_type varchar,
    expected_version bigint,
    event_ids uuid[],
    event_types varchar[],
    dotnet_types varchar[],
    bodies jsonb[],
    event_headers jsonb,
    correlation varchar,
    causation varchar,
    appended_at timestamp with time zone
) returns void
language plpgsql as $$
declare
    current_version bigint;
    archived boolean;
begin
    -- A statement of its own, after hold_streams: in READ COMMITTED it sees what was committed while that one waited.
    select s.version, s.is_archived into current_version, archived from mesh.mt_streams s where s.id = stream;
    if archived then
        raise exception 'event stream is archived' using errcode = 'MT001', detail = stream;
    end if;
    if coalesce(current_version, 0) <> expected_version then
        raise exception 'event stream is at version %', coalesce(current_version, 0) using errcode = 'MT003', detail = stream, hint = json_build_array(stream)::text;
    end if;
    if current_version is null then
        insert into mesh.mt_streams (id, type, version, "timestamp", created, tenant_id, is_archived)
        values (stream, stream_type, 0, appended_at, appended_at, '*DEFAULT*', false);
    end if;

    -- One insert per event: only so is it certain that the sequence numbers rise with the versions.
    for i in 1 .. cardinality(event_ids) loop
        insert into mesh.mt_events (seq_id, id, stream_id, version, data, type, "timestamp", tenant_id, mt_dotnet_type, correlation_id, causation_id, headers, is_archived)
        values (nextval('mesh.mt_events_sequence'), event_ids[i], stream, expected_version + i, bodies[i], event_types[i], appended_at, '*DEFAULT*', dotnet_types[i], correlation,
                causation, case when i = 1 then event_headers end, false);
    end loop;

    update mesh.mt_streams set version = expected_version + cardinality(event_ids), "timestamp" = appended_at where id = stream;
end
$$;

create or replace function mesh_own.move_checkpoint(subscription_name text, expected_sequence bigint, new_sequence bigint) returns void
language plpgsql as $$
begin
    if expected_sequence = 0 then
        insert into mesh_own.checkpoints as c (subscription, sequence) values (subscription_name, new_sequence)
        on conflict (subscription) do update set sequence = new_sequence where c.sequence = 0;
    else
        update mesh_own.checkpoints set sequence = new_sequence where subscription = subscription_name and sequence = expected_sequence;
    end if;
    if not found then
        raise exception 'checkpoint was moved by another instance' using errcode = 'SM001', detail = subscription_name;
    end if;
end
$$;
