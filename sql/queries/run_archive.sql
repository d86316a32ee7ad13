-- name:   run_archive
-- params: 1 runId uuid, 2 actor text, 3 actorType text, 4 requestId text,
--         5 id of the audit row uuid: with the same one it is written once
-- result: zero or one row: the run with its new values, as enum run_column names them
with archived as (
    update runs
       set archived_at = coalesce(archived_at, now()),
           tags = case when 'archived' = any (tags) then tags
                       else array_append(tags, 'archived') end,
           updated_at = now()
     where id = $1::uuid
    returning run_key, id, status, mode, runtime_kind, runtime_version, session_id, trace_id,
              idempotency_key, source_kind, source_ref, tags, descriptor, metadata,
              failure_reason, error_code, error_message, created_at, started_at, ended_at,
              updated_at, archived_at
), audit as (
    insert into audit_log (id, actor, actor_type, action, resource, resource_id, request_id)
    select $5::uuid, $2::text, $3::text, 'run.archived', 'run', id::text, $4::text
      from archived
    on conflict (id) do nothing
)
select r.id, r.status, r.mode, r.runtime_kind, r.runtime_version, r.session_id, r.trace_id,
       r.idempotency_key, o.last_seq, r.source_kind, r.source_ref, to_json(r.tags), r.descriptor,
       r.metadata, r.failure_reason, r.error_code, r.error_message, r.created_at, r.started_at,
       r.ended_at, r.updated_at, r.archived_at
  from archived r
  join run_observers o using (run_key);
