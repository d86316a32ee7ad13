-- name:   orphans_delete
-- params: 1 day date, 2 behind this run_key bigint, 3 runs to look at bigint, 4 rows to remove from
--         each table bigint (null: no limit), 5 only count boolean
-- result: one row: whether nobody else removes just now, the last run_key that was looked at (null:
--         there was none), how many runs are gone whose events are still there, how many of these
--         rows there are (were removed, when there is a limit)
--
-- From run to run by the primary keys, however many rows a run has. A run and its first event are
-- stored together, so events without a run are left from one that was removed.
with recursive lock as materialized (
    select pg_try_advisory_xact_lock(7230165412) as held
), present (run_key, n) as (
    select least((select min(e.run_key) from run_events_raw e
                   where e.day = $1::date and e.run_key > $2::bigint),
                 (select min(e.run_key) from run_events_canonical e
                   where e.day = $1::date and e.run_key > $2::bigint)), 1::bigint
    union all
    select least((select min(e.run_key) from run_events_raw e
                   where e.day = $1::date and e.run_key > p.run_key),
                 (select min(e.run_key) from run_events_canonical e
                   where e.day = $1::date and e.run_key > p.run_key)), p.n + 1
      from present p
     where p.run_key is not null and p.n < $3::bigint
), orphans as materialized (
    select p.run_key
      from present p
     where p.run_key is not null
       and not exists (select from runs r where r.run_key = p.run_key)
), raw_left as materialized (
    select e.run_key, e.seq
      from run_events_raw e
     where e.day = $1::date and e.run_key in (select run_key from orphans)
     limit $4::bigint
), canonical_left as materialized (
    select e.run_key, e.seq
      from run_events_canonical e
     where e.day = $1::date and e.run_key in (select run_key from orphans)
     limit $4::bigint
), raw_gone as (
    delete from run_events_raw e
     using raw_left v
     where not $5::boolean and (select held from lock)
       and e.day = $1::date and e.run_key = v.run_key and e.seq = v.seq
), canonical_gone as (
    delete from run_events_canonical e
     using canonical_left v
     where not $5::boolean and (select held from lock)
       and e.day = $1::date and e.run_key = v.run_key and e.seq = v.seq
)
select (select held from lock), (select max(run_key) from present),
       (select count(*) from orphans),
       (select count(*) from raw_left) + (select count(*) from canonical_left);
