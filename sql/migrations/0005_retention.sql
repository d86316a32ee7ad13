-- What removing old runs needs: indexes to find them and what hangs on them, and weeks that are
-- made and dropped without holding up anybody.
--
-- oldest-program: 3

create index runs_ended on runs (ended_at) where ended_at is not null;
-- Deleting a run looks for its commands.
create index commands_run on commands (run_key) where run_key is not null;

-- Attaching a week waits for whoever reads the default partition, and its next readers wait
-- behind it. There is time: it is tried every hour, weeks ahead.
alter function ensure_partitions(date, integer) set lock_timeout = '200ms';

-- Drops the events of the week that a day belongs to, when no run of that week is left. False when
-- there still is one. A partition cannot go without its parent being locked, and writers queue up
-- behind a lock that is waited for: it gives up quickly, and whoever calls it tries again.
create or replace function drop_week(any_day date) returns boolean
language plpgsql security definer
set search_path = pg_catalog, macp, pg_temp set lock_timeout = '200ms' as $$
declare
    monday date := date_trunc('week', any_day)::date;
    parent text;
begin
    perform pg_advisory_xact_lock(7230165411);
    if exists (select from runs where day >= monday and day < monday + 7) then
        return false;
    end if;
    lock table only run_events_raw, only run_events_canonical in access exclusive mode;
    -- Behind the lock: who has stored events of that week meanwhile has stored their run, too.
    if exists (select from runs where day >= monday and day < monday + 7) then
        return false;
    end if;
    foreach parent in array array['run_events_raw', 'run_events_canonical'] loop
        execute format('drop table if exists macp.%I', parent || '_' || to_char(monday, 'YYYYMMDD'));
    end loop;
    return true;
end
$$;
