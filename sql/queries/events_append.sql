-- name:   events_append
-- params: 1 runId uuid, 2 ts timestamptz, 3 events json: an array of objects with type,
--         subjectKind, subjectId, sourceName, data; 4 command kind text, 5 requester text,
--         6 requestId text
-- result: zero or one row: id, last_seq (the number of the last event now), terminal, id of the
--         command that brings them; last_seq and terminal are null when there is one
--
-- The one way a handler adds events to a run that exists. A run that a living instance has in
-- memory gets them from that one: it numbers its events itself, and would have to load the run anew
-- if others did. Such a command waits for ever, because the events are promised. Else they get
-- consecutive numbers here, under the lock of the observer row, and are counted in the metrics row;
-- meant for types that no other counter counts. The stored projection stays behind, readers fold
-- what follows it.
with held as (
    select r.run_key, r.id, r.status, r.trace_id, o.day, o.owner, o.closed
      from run_observers o
      join runs r using (run_key)
     where r.id = $1::uuid
       for update of o
), run as (
    select h.run_key, h.id, h.status, h.trace_id, h.day,
           not h.closed and exists (select from observer_instances i
                                     where i.instance_id = h.owner
                                       and i.alive_until > clock_timestamp()) as observed
      from held h
), asked as (
    insert into commands (run_key, kind, args, requester, request_id, deadline)
    select run_key, $4::text, jsonb_build_object('events', $3::json), $5::text, $6::text, 'infinity'
      from run
     where observed
    returning id
), moved as (
    update run_observers o
       set last_seq = o.last_seq + json_array_length($3::json)
      from run
     where o.run_key = run.run_key and not run.observed
    returning o.run_key, o.day, o.last_seq, run.trace_id,
              run.status in ('completed', 'failed', 'cancelled') as terminal
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
select run.id, m.last_seq, m.terminal, (select id from asked)
  from run
  left join moved m using (run_key);
