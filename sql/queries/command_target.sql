-- name:   command_target
-- params: 1 runId uuid
-- result: zero or one row: run_key, status, whether it has a callback, whether the runtime may be
--         asked to cancel its session
select run_key, status, callback_url is not null, cancel_delegated
  from runs
 where id = $1::uuid;
