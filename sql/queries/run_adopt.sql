-- name:   run_adopt
-- params: 1 runKey bigint, 2 idempotencyKey text, 3 mode text, 4 runtimeVersion text,
--         5 sourceKind text, 6 sourceRef text, 7 environment text, 8 scenarioRef text,
--         9 tags json, 10 descriptor json, 11 metadata jsonb, 12 callbackUrl text,
--         13 callbackBearer text, 14 cancelDelegated boolean, 15 command kind text,
--         16 requester text, 17 requestId text, 18 how long the command may take in ms bigint,
--         19 artifactId uuid, 20 eventTime timestamptz
-- result: the run (id, session_id, status, trace_id), or no row when it is no discovered one
--         any more; command id, null when nobody observes the run any more.
--         Asked for again with the same descriptor: the run as it is
--
-- A posted run has an artifact that leads to its trace. Its observer adds it, because somebody
-- else's event would make the observer read the session anew in the middle; when there is none it
-- is added here. The observer row is locked first, as by every writer of events.
with held as (
    select run_key, closed
      from run_observers
     where run_key = $1::bigint
       for update
), adopted as (
    update runs r
       set origin = 'adopted',
           idempotency_key = $2::text,
           mode = $3::text,
           runtime_version = coalesce($4::text, runtime_version),
           source_kind = $5::text,
           source_ref = $6::text,
           environment = $7::text,
           scenario_ref = $8::text,
           tags = array(select json_array_elements_text($9::json)),
           descriptor = $10::json,
           -- What the observer noted about the run's end stays.
           metadata = metadata || $11::jsonb,
           callback_url = $12::text,
           callback_bearer = $13::text,
           cancel_delegated = $14::boolean,
           updated_at = now()
      from held h
     where r.run_key = h.run_key
       and r.origin = 'discovered'
    returning r.run_key, r.day, r.id, r.session_id, r.status, r.trace_id, h.closed
), command as (
    insert into commands (run_key, kind, requester, request_id, deadline)
    select run_key, $15::text, $16::text, $17::text, now() + $18::bigint * interval '1 millisecond'
      from adopted
     where not closed
    returning id
), moved as (
    update run_observers o
       set last_seq = o.last_seq + 1
      from adopted a
     where o.run_key = a.run_key and a.closed
    returning o.run_key, o.last_seq
), artifact as (
    insert into run_artifacts (id, run_key, kind, label, inline)
    select $19::uuid, run_key, 'trace', 'Root run trace', json_build_object('traceId', trace_id)
      from adopted
     where closed
), event as (
    insert into run_events_canonical (day, run_key, seq, ts, type, subject_kind, subject_id,
                                      source_kind, source_name, trace_id, data)
    select a.day, a.run_key, m.last_seq, $20::timestamptz, 'artifact.created', 'artifact',
           $19::uuid::text, 'macp-control-plane', 'run-executor', a.trace_id,
           jsonb_build_object('kind', 'trace', 'label', 'Root run trace', 'traceId', a.trace_id,
                              'artifactId', $19::uuid::text)
      from adopted a
      join moved m using (run_key)
), counted as (
    update run_metrics c
       set event_count = c.event_count + 1,
           last_event_at = case when c.frozen then c.last_event_at else $20::timestamptz end,
           updated_at = now()
      from moved m
     where c.run_key = m.run_key
)
select a.id, a.session_id, a.status, a.trace_id, (select id from command)
  from adopted a
union all
select r.id, r.session_id, r.status, r.trace_id, null
  from runs r
 where not exists (select from adopted)
   and r.run_key = $1::bigint
   and r.origin = 'adopted'
   and r.descriptor::text = $10::json::text;
