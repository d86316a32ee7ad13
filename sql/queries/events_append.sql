-- name:   events_append
-- params: 1 runId uuid, 2 ts timestamptz, 3 events json: an array of objects with type,
--         subjectKind, subjectId, sourceName, data
-- result: zero or one row: id, last_seq (the number of the last event now), terminal
--
-- The one way a handler adds events to a run that exists: consecutive numbers under the lock of
-- the observer row, counted in the metrics row. A live owner finds last_seq moved when it writes
-- next, and loads the run anew. Meant for types that no other counter counts; the stored
-- projection stays behind, readers fold what follows it.
with moved as (
    update run_observers o
       set last_seq = o.last_seq + json_array_length($3::json)
      from runs r
     where r.id = $1::uuid and o.run_key = r.run_key
    returning o.run_key, o.day, o.last_seq, r.id, r.trace_id,
              r.status in ('completed', 'failed', 'cancelled') as terminal
), added as (
    insert into run_events_canonical (day, run_key, seq, ts, type, subject_kind, subject_id,
                                      source_kind, source_name, trace_id, data)
    select m.day, m.run_key, m.last_seq - json_array_length($3::json) + e.place::integer,
           $2::timestamptz, e.event ->> 'type', e.event ->> 'subjectKind',
           e.event ->> 'subjectId', 'macp-control-plane', e.event ->> 'sourceName', m.trace_id,
           (e.event -> 'data')::jsonb
      from moved m,
           json_array_elements($3::json) with ordinality as e (event, place)
), counted as (
    insert into run_metrics as c (run_key, event_count, first_event_at, last_event_at)
    select run_key, json_array_length($3::json), $2::timestamptz, $2::timestamptz
      from moved
    on conflict (run_key) do update
       set event_count = c.event_count + excluded.event_count,
           first_event_at = coalesce(c.first_event_at, excluded.first_event_at),
           last_event_at = case when c.frozen then c.last_event_at
                                else excluded.last_event_at end,
           updated_at = now()
)
select id, last_seq, terminal
  from moved;
