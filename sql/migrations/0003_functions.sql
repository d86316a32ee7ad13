-- What the tables need to keep their promises: partitions ahead of time, the guard of the one
-- writer per run, and who may do what.
--
-- oldest-program: 3

-- Weekly partitions from the week of first_day on. Idempotent; a week that exists is left alone.
-- A partition is made aside and attached, which leaves writers of the other ones undisturbed;
-- rows that meanwhile went to the default partition come along.
create function ensure_partitions(first_day date, weeks integer) returns integer
language plpgsql security definer set search_path = pg_catalog, macp, pg_temp as $$
declare
    monday date := date_trunc('week', first_day)::date;
    begins date;
    made integer := 0;
    parent text;
    child text;
begin
    -- One maker at a time, or two instances would race for the same table.
    perform pg_advisory_xact_lock(7230165411);
    for i in 0 .. weeks - 1 loop
        begins := monday + 7 * i;
        foreach parent in array array['run_events_raw', 'run_events_canonical'] loop
            child := parent || '_' || to_char(begins, 'YYYYMMDD');
            continue when to_regclass('macp.' || child) is not null;
            execute format('create table macp.%I (like macp.%I including all)', child, parent);
            execute format('with moved as (delete from macp.%I where day >= %L and day < %L returning *)'
                           ' insert into macp.%I select * from moved',
                           parent || '_default', begins, begins + 7, child);
            execute format('alter table macp.%I attach partition macp.%I for values from (%L) to (%L)',
                           parent, child, begins, begins + 7);
            made := made + 1;
        end loop;
    end loop;
    return made;
end
$$;

-- Rows of a day nobody prepared for land here instead of failing; operators watch that it is empty.
create table run_events_raw_default partition of run_events_raw default;
create table run_events_canonical_default partition of run_events_canonical default;
select ensure_partitions((now() at time zone 'utc')::date - 7, 6);

-- First statement of every batch: moves the cursors of all its runs, or fails the transaction
-- with SQLSTATE MACP1 naming the runs whose row does not match (somebody else owns them now, or
-- appended events). Locks in key order; the locks last to the commit, so commit order is
-- sequence order.
create function guard_runs(keys bigint[], fences bigint[], old_cursors bigint[],
                           new_cursors bigint[], old_seqs integer[], new_seqs integer[])
returns void language plpgsql set search_path = pg_catalog, macp, pg_temp as $$
declare
    strangers text;
begin
    perform 1 from run_observers where run_key = any (keys) order by run_key for update;
    with given as (
        select * from unnest(keys, fences, old_cursors, new_cursors, old_seqs, new_seqs)
            as g (run_key, fence, old_cursor, new_cursor, old_seq, new_seq)
    ), moved as (
        update run_observers o
           set cursor = g.new_cursor, last_seq = g.new_seq
          from given g
         where o.run_key = g.run_key and o.fence = g.fence
           and o.cursor = g.old_cursor and o.last_seq = g.old_seq
        returning o.run_key
    )
    select string_agg(g.run_key::text, ',') into strangers
      from given g
     where not exists (select from moved m where m.run_key = g.run_key);
    if strangers is not null then
        raise exception 'runs are owned by somebody else or have moved'
            using errcode = 'MACP1', detail = strangers;
    end if;
end
$$;

-- Retention: drops the events of the week that a day belongs to, when no run of that week is left.
-- False when there still is one. Gives up soon instead of making writers wait behind it.
create function drop_week(any_day date) returns boolean
language plpgsql security definer
set search_path = pg_catalog, macp, pg_temp set lock_timeout = '2s' as $$
declare
    monday date := date_trunc('week', any_day)::date;
    parent text;
begin
    perform pg_advisory_xact_lock(7230165411);
    if exists (select from runs where day >= monday and day < monday + 7) then
        return false;
    end if;
    foreach parent in array array['run_events_raw', 'run_events_canonical'] loop
        execute format('drop table if exists macp.%I', parent || '_' || to_char(monday, 'YYYYMMDD'));
    end loop;
    return true;
end
$$;

revoke all on function ensure_partitions(date, integer), drop_week(date) from public;
grant execute on function ensure_partitions(date, integer), drop_week(date) to macp_observer;

-- Least privilege: the daemon writes what it observes, handlers write what people ask for.
grant select on all tables in schema macp to macp_observer, macp_api;
grant insert, update on runs, run_observers, run_sessions, run_projections, run_metrics,
    run_artifacts, run_participants, run_decisions, run_votes, run_signals, run_llm_calls,
    observer_gaps, ambient_envelopes, commands, webhook_deliveries, observer_instances,
    runtime_catalog, session_tombstones, run_events_raw, run_events_canonical
    to macp_observer;
grant delete on all tables in schema macp to macp_observer; -- retention
revoke delete on schema_migrations from macp_observer;
grant insert on audit_log to macp_observer, macp_api;
grant insert, update on runs, run_observers, run_projections, run_metrics, run_artifacts,
    run_events_canonical, commands, webhooks, webhook_deliveries, session_tombstones to macp_api;
grant delete on runs, run_observers, run_sessions, run_projections, run_metrics, run_artifacts,
    run_participants, run_decisions, run_votes, run_signals, run_llm_calls, observer_gaps,
    run_events_raw, run_events_canonical, webhooks, webhook_deliveries to macp_api;
grant usage on all sequences in schema macp to macp_observer, macp_api;

alter default privileges in schema macp grant select on tables to macp_observer, macp_api;
