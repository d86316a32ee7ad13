-- name:   run_observed
-- params: 1 runId uuid
-- result: zero or one row: run_key, whether a living instance has the run in memory
select o.run_key, not o.closed and i.instance_id is not null
  from runs r
  join run_observers o using (run_key)
  left join observer_instances i on i.instance_id = o.owner and i.alive_until > clock_timestamp()
 where r.id = $1::uuid;
