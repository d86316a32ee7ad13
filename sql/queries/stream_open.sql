-- name:   stream_open
-- params: 1 runId uuid
-- result: zero or one row: status of the run, last sequence number handed out
select r.status, o.last_seq
  from runs r
  join run_observers o using (run_key)
 where r.id = $1::uuid;
