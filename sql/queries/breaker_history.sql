-- name:   breaker_history
-- params: 1 since timestamptz (null: everything)
-- result: one row: the worst state of the living observers, the merged history of all of them
--         as jsonb, oldest first
--
-- An observer keeps its own transitions. Of two that follow each other with the same state, the
-- first one tells when it was entered.
with entries as (
    select e.entry ->> 'state' as state, (e.entry ->> 'enteredAt')::timestamptz as entered_at,
           e.entry ->> 'reason' as reason
      from observer_instances i,
           json_array_elements(i.breaker_history) as e (entry)
     where i.alive_until > now()
), marked as (
    select state, entered_at, reason,
           lag(state) over (order by entered_at) is distinct from state as changed
      from entries
     where $1::timestamptz is null or entered_at >= $1
), kept as (
    select state, entered_at, reason
      from marked
     where changed
     order by entered_at desc
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
                   order by k.entered_at), '[]')
          from kept k);
