-- name:   runs_expire
-- params: 1 age in days bigint, 2 limit bigint (null: none), 3 only count boolean
-- result: one row: whether nobody else removes just now, how many ended runs are older, how many of
--         them were removed
--
-- In the order of every other writer: the observer row first. A run that somebody writes to waits
-- for the next time. Its events stay behind: they are found by nobody and go with their week. Its
-- session stays known, so that discovery does not bring it back.
with lock as materialized (
    select pg_try_advisory_xact_lock(7230165412) as held
), expired as materialized (
    select r.run_key
      from runs r
     where r.status in ('completed', 'failed', 'cancelled')
       and r.ended_at < now() - $1::bigint * interval '1 day'
     order by r.ended_at
     limit $2::bigint
), victims as materialized (
    select r.run_key, r.session_id, r.ended_at
      from expired x
      join run_observers o using (run_key)
      join runs r using (run_key)
     where not $3::boolean
       and (select held from lock)
       and r.status in ('completed', 'failed', 'cancelled')
     order by r.run_key
       for update of o, r skip locked
), tombstones as (
    insert into session_tombstones (session_id, ended_at)
    select session_key(session_id) as key, max(ended_at)
      from victims
     group by key
     order by key
    on conflict (session_id) do update
       set ended_at = excluded.ended_at, created_at = now()
), gone as (
    delete from runs
     where run_key in (select run_key from victims)
)
select (select held from lock), (select count(*) from expired), (select count(*) from victims);
