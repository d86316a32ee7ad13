-- name:   instance_gone
-- params: instance_id uuid
-- result: none; its runs are free from now on
with freed as (update run_observers set owner = null where owner = $1::uuid and not closed),
     asked as (delete from run_heirs where heir = $1::uuid)
delete from observer_instances where instance_id = $1::uuid;
