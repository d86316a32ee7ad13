-- name:   run_delete
-- params: 1 runId uuid, 2 actor text, 3 actorType text, 4 requestId text, 5 id of the audit row uuid
-- result: zero or one row: the status it had, whether it was deleted; only ended runs are. Its
--         session stays known for a while, so that discovery does not bring it back
with victim as (
    -- In the order of every other writer: the observer row first.
    select r.run_key, r.day, r.id, r.session_id, r.ended_at
      from run_observers o
      join runs r using (run_key)
     where r.id = $1::uuid
       and r.status in ('completed', 'failed', 'cancelled')
       for update of o, r
), tombstone as (
    insert into session_tombstones (session_id, ended_at)
    select session_key(session_id), ended_at
      from victim
    on conflict (session_id) do update
       set ended_at = excluded.ended_at, created_at = now()
), raw_gone as (
    delete from run_events_raw
     where day = (select day from victim) and run_key = (select run_key from victim)
), canonical_gone as (
    delete from run_events_canonical
     where day = (select day from victim) and run_key = (select run_key from victim)
), run_gone as (
    delete from runs
     where run_key = (select run_key from victim)
), audit as (
    insert into audit_log (id, actor, actor_type, action, resource, resource_id, request_id)
    select $5::uuid, $2::text, $3::text, 'run.deleted', 'run', id::text, $4::text
      from victim
)
select r.status, exists (select from victim)
  from runs r
 where r.id = $1::uuid;
