-- name:   command_target
-- params: 1 runId uuid
-- result: zero or one row: run_key, status, whether it has a callback, whether the runtime may be
--         asked to cancel its session, whether somebody observes it just now
select r.run_key, r.status, r.callback_url is not null, r.cancel_delegated,
       exists (select
                 from observer_instances i
                where i.instance_id = o.owner and i.alive_until > now())
  from runs r
  join run_observers o using (run_key)
 where r.id = $1::uuid;
