-- name:   run_get
-- params: 1 runId uuid
-- result: zero or one row: the columns of a run, as enum run_column names them
select r.id, r.status, r.mode, r.runtime_kind, r.runtime_version, r.session_id, r.trace_id,
       r.idempotency_key, o.last_seq, r.source_kind, r.source_ref, to_json(r.tags), r.descriptor,
       r.metadata, r.failure_reason, r.error_code, r.error_message, r.created_at, r.started_at,
       r.ended_at, r.updated_at, r.archived_at
  from runs r
  join run_observers o using (run_key)
 where r.id = $1::uuid;
