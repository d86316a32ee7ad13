-- name:   rebuild_owner
-- params: run_key bigint
-- result: instance_id and host of the live instance that owns the run; no row when none does
select i.instance_id, i.host
  from run_observers o
  join observer_instances i on i.instance_id = o.owner
 where o.run_key = $1::bigint and not o.closed and i.alive_until > clock_timestamp();
