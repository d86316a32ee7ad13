-- name:   instance_join
-- params: instance_id uuid, run_keys bigint[] (in our spool), writers uuid[] (who wrote that, and is
--         no more)
-- result: none; what an earlier process under our id had is free, the runs of the spool are ours
--         unless another instance has them
with ours as (
    update run_observers o
       set owner = $1::uuid, fence = o.fence + 1
     where o.run_key = any ($2::bigint[]) and not o.closed
       and (o.owner is null or o.owner = $1::uuid or o.owner = any ($3::uuid[])
            or not exists (select from observer_instances i
                            where i.instance_id = o.owner and i.alive_until > now()))
), freed as (
    update run_observers set owner = null
     where owner = $1::uuid and not closed and run_key <> all ($2::bigint[]))
delete from run_heirs where heir = $1::uuid;
