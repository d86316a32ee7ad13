-- name:   breaker_history
-- params: 1 since timestamptz (null: everything)
-- result: one row: the worst state of the living observers, the history of that worst state as
--         jsonb, oldest first, at most 200 entries
--
-- An observer keeps its own transitions. Each adds itself to one state and takes itself out of
-- the one before; the sums over time say how many were open or half open, and what changed the
-- worst state is what is shown.
with entries as (
    select i.instance_id, e.place, e.entry ->> 'state' as state, e.entry ->> 'reason' as reason,
           (e.entry ->> 'enteredAt')::timestamptz as entered_at,
           lag(e.entry ->> 'state') over (partition by i.instance_id order by e.place) as before
      from observer_instances i,
           json_array_elements(i.breaker_history) with ordinality as e (entry, place)
     where i.alive_until > now()
), sums as (
    select reason, entered_at, row_number() over w as place,
           sum((state = 'OPEN')::int - coalesce(before = 'OPEN', false)::int) over w as open,
           sum((state = 'HALF_OPEN')::int - coalesce(before = 'HALF_OPEN', false)::int) over w
               as half_open
      from entries
    window w as (order by entered_at, instance_id, place)
), worst as (
    select place, entered_at, reason,
           case when open > 0 then 'OPEN' when half_open > 0 then 'HALF_OPEN' else 'CLOSED' end
               as state
      from sums
), marked as (
    select place, entered_at, reason, state,
           lag(state) over (order by place) is distinct from state as changed
      from worst
), kept as (
    select place, entered_at, reason, state
      from marked
     where changed and ($1::timestamptz is null or entered_at >= $1)
     order by place desc
     limit 200
)
select coalesce((select (array['CLOSED', 'HALF_OPEN', 'OPEN'])
                            [max(case i.breaker_state when 'OPEN' then 3 when 'HALF_OPEN' then 2
                                                      else 1 end)]
                   from observer_instances i
                  where i.alive_until > now()), 'CLOSED'),
       (select coalesce(jsonb_agg(jsonb_build_object(
                   'state', k.state, 'reason', k.reason,
                   'enteredAt', to_char(k.entered_at at time zone 'utc',
                                        'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
                   order by k.place), '[]')
          from kept k);
