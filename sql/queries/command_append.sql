-- name:   command_append
-- params: 1 id bigint, 2 instance_id uuid, 3 ts timestamptz
-- result: none; the events of a command about a run that nobody observes any more are added, and
--         the command has ended
with held as (
    -- In the order of every other writer: the observer row first.
    select o.run_key
      from commands c
      join run_observers o using (run_key)
     where c.id = $1::bigint
       for update of o
), finished as (
    update commands c
       set state = 'done', result = '{"outcome":"done"}', finished_at = now()
      from held h
     where c.run_key = h.run_key
       and c.id = $1::bigint and c.owner = $2::uuid and c.state = 'running'
    returning c.run_key, c.args -> 'events' as events
), moved as (
    update run_observers o
       set last_seq = o.last_seq + jsonb_array_length(f.events)
      from finished f
      join runs r using (run_key)
     where o.run_key = f.run_key
    returning o.run_key, o.day, o.last_seq, r.trace_id, f.events
), added as (
    insert into run_events_canonical (day, run_key, seq, ts, type, subject_kind, subject_id,
                                      source_kind, source_name, trace_id, data)
    select m.day, m.run_key, m.last_seq - jsonb_array_length(m.events) + e.place::integer,
           $3::timestamptz, e.event ->> 'type', e.event ->> 'subjectKind',
           e.event ->> 'subjectId', 'macp-control-plane', e.event ->> 'sourceName', m.trace_id,
           e.event -> 'data'
      from moved m,
           jsonb_array_elements(m.events) with ordinality as e (event, place)
)
insert into run_metrics as c (run_key, event_count, first_event_at, last_event_at)
select run_key, jsonb_array_length(events), $3::timestamptz, $3::timestamptz
  from moved
on conflict (run_key) do update
   set event_count = c.event_count + excluded.event_count,
       first_event_at = coalesce(c.first_event_at, excluded.first_event_at),
       last_event_at = case when c.frozen then c.last_event_at else excluded.last_event_at end,
       updated_at = now();
