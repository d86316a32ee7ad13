-- name:   run_hand_over
-- params: instance_id uuid, run_keys bigint[], fences bigint[]
-- result: run_key of the runs that are their heir's now
--
-- An heir that gives up at this moment has its row locked, and does not get the run.
with given as materialized (
    select h.run_key, h.heir, h.from_ordinal, g.fence
      from unnest($2::bigint[], $3::bigint[]) as g (run_key, fence)
      join run_heirs h using (run_key)
      join observer_instances i on i.instance_id = h.heir
     where h.heir <> $1::uuid and i.alive_until > now()
       for update of h skip locked
), moved as (
    update run_observers o
       set owner = g.heir, fence = o.fence + 1
      from given g
     where o.run_key = g.run_key and o.owner = $1::uuid and o.fence = g.fence
       and g.from_ordinal <= o.cursor
    returning o.run_key
), gone as (
    delete from run_heirs h using moved m where h.run_key = m.run_key)
select run_key from moved;
