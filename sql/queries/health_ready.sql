-- name:   health_ready
-- params:
-- result: one row: runtime ok (a call succeeded within 15 s), manifest json, detail of the last
--         attempt, streams ok (an observer lives and none lacks a stream), worst breaker state
select coalesce((select max(c.fetched_at) > now() - interval '15 seconds' from runtime_catalog c),
                false),
       m.body,
       coalesce(m.detail, ''),
       o.living > 0 and o.lagging = 0,
       coalesce(o.breaker, 'CLOSED')
  from (select count(*) as living,
               count(*) filter (where i.streams_open < i.streams_wanted) as lagging,
               (array['CLOSED', 'HALF_OPEN', 'OPEN'])
                   [max(case i.breaker_state when 'OPEN' then 3 when 'HALF_OPEN' then 2
                                             else 1 end)] as breaker
          from observer_instances i
         where i.alive_until > now()) o
  left join runtime_catalog m on m.kind = 'manifest';
