-- name:   run_claim
-- params: instance_id uuid, limit int, fresh_only bool (only runs that nobody ever had),
--         dead bool (also those of owners that are not alive)
-- result: run_key, fence of the runs that are ours now
with free as (
    select o.run_key
      from run_observers o
     where not o.closed
       and (o.owner is null
            or ($4::boolean
                and not exists (select from observer_instances i
                                 where i.instance_id = o.owner and i.alive_until > now())))
       and (not $3::boolean or o.fence = 0)
     order by o.next_poll_at
     limit $2::integer
       for update skip locked),
     asked as (delete from run_heirs h using free where h.run_key = free.run_key)
update run_observers o
   set owner = $1::uuid, fence = o.fence + 1
  from free
 where o.run_key = free.run_key
returning o.run_key, o.fence;
