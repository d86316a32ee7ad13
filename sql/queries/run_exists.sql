-- name:   run_exists
-- params: 1 runId uuid
-- result: zero or one row
select 1
  from runs
 where id = $1::uuid;
