-- name:   run_discover
-- params: arrays, one element per session, each session once: 1 sessionId text, 2 id uuid,
--         3 id of this life uuid (when the first one is taken), 4 startedMs bigint (0: unknown),
--         5 modeName text, 6 traceId text, 7 descriptor json, 8 eventData json;
--         9 runtimeKind text, 10 pollTimeoutMs bigint, 11 eventTime timestamptz
-- result: session_id, id of the runs that were created; sessions that have their run are left out
with given as (
    select *
      from unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[],
                  $7::json[], $8::json[])
           as g (session_id, id, life_id, started_ms, mode_name, trace_id, descriptor, event_data)
), created as (
    insert into runs (id, session_id, origin, mode, mode_name, runtime_kind, trace_id, source_kind,
                      descriptor)
    select case when exists (select from runs r where r.id = g.id) then g.life_id else g.id end,
           g.session_id, 'discovered', 'live', g.mode_name, $9::text, g.trace_id,
           'session-discovery', g.descriptor
      from given g
     where not exists (select
                         from session_tombstones t
                        where t.session_id = session_key(g.session_id))
       and not exists (
               select
                 from runs r
                 left join run_observers o using (run_key)
                where r.session_id = g.session_id
                  -- Somebody waited for it in vain; now it is there.
                  and (r.status = 'failed' and r.failure_reason = 'open_timeout') is not true
                  -- An earlier life of the session, which has ended.
                  and (r.status in ('completed', 'failed', 'cancelled') and g.started_ms > 0
                       and o.session_started_ms <> g.started_ms) is not true)
     -- Several instances see the same sessions: in one order, so that they cannot block each other.
     order by g.session_id
    on conflict do nothing
    returning run_key, day, id, session_id, trace_id
), observer as (
    insert into run_observers (run_key, day, poll_deadline, last_seq)
    select run_key, day, now() + $10::bigint * interval '1 millisecond', 1
      from created
), event as (
    insert into run_events_canonical (day, run_key, seq, ts, type, subject_kind, subject_id,
                                      source_kind, source_name, trace_id, data)
    select c.day, c.run_key, 1, $11::timestamptz, 'run.created', 'run', c.id::text,
           'macp-control-plane', 'run-manager', c.trace_id, g.event_data::jsonb
      from created c
      join given g using (session_id)
), metrics as (
    insert into run_metrics (run_key, event_count, first_event_at, last_event_at)
    select run_key, 1, $11::timestamptz, $11::timestamptz
      from created
)
select session_id, id
  from created;
