-- name:   run_create
-- params: 1 id uuid, 2 sessionId text, 3 idempotencyKey text, 4 mode text, 5 modeName text,
--         6 runtimeKind text, 7 runtimeVersion text, 8 traceId text, 9 sourceKind text,
--         10 sourceRef text, 11 environment text, 12 scenarioRef text, 13 tags json,
--         14 descriptor json, 15 metadata jsonb, 16 callbackUrl text, 17 callbackBearer text,
--         18 cancelDelegated boolean, 19 pollTimeoutMs bigint, 20 eventTime timestamptz,
--         21 eventData jsonb, 22 actor text, 23 actorType text, 24 requestId text,
--         25 origin posted|cloned, 26 auditAction text, 27 auditDetails jsonb
-- result: the new run (id, session_id, status, trace_id); no row when its id, idempotency key or
--         session is taken
with created as (
    insert into runs (id, session_id, idempotency_key, origin, mode, mode_name, runtime_kind,
                      runtime_version, trace_id, source_kind, source_ref, environment,
                      scenario_ref, tags, descriptor, metadata, callback_url, callback_bearer,
                      cancel_delegated)
    select $1::uuid, $2::text, $3::text, $25::text, $4::text, $5::text, $6::text,
           $7::text, $8::text, $9::text, $10::text, $11::text,
           $12::text, array(select json_array_elements_text($13::json)), $14::json, $15::jsonb,
           $16::text, $17::text, $18::boolean
     -- The unique index covers live runs only; an ended run keeps its session too.
     where not exists (select from runs r where r.session_id = $2::text)
    on conflict do nothing
    returning run_key, day, id, session_id, status, trace_id
), observer as (
    insert into run_observers (run_key, day, poll_deadline, last_seq)
    select run_key, day, now() + $19::bigint * interval '1 millisecond', 1
      from created
), event as (
    insert into run_events_canonical (day, run_key, seq, ts, type, subject_kind, subject_id,
                                      source_kind, source_name, trace_id, data)
    select day, run_key, 1, $20::timestamptz, 'run.created', 'run', id::text,
           'macp-control-plane', 'run-manager', trace_id, $21::jsonb
      from created
), metrics as (
    insert into run_metrics (run_key, event_count, first_event_at, last_event_at)
    select run_key, 1, $20::timestamptz, $20::timestamptz
      from created
), audit as (
    insert into audit_log (id, actor, actor_type, action, resource, resource_id, details,
                           request_id)
    select gen_random_uuid(), $22::text, $23::text, $26::text, 'run', id::text, $27::jsonb,
           $24::text
      from created
)
select id, session_id, status, trace_id
  from created;
