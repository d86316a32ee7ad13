-- name:   run_owned
-- params: instance_id uuid, after bigint (run key), limit int
-- result: run_key, fence of the open runs of an instance, in the order of their keys
select run_key, fence
  from run_observers
 where owner = $1::uuid and not closed and run_key > $2::bigint
 order by run_key
 limit $3::integer;
