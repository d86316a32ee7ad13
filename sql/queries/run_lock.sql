-- name:   run_lock
-- params: runId uuid
-- result: zero or one row: run_key, day in days since 1970; locked until the transaction ends
select r.run_key, o.day - date '1970-01-01'
  from runs r
  join run_observers o using (run_key)
 where r.id = $1::uuid
   for update of o;
