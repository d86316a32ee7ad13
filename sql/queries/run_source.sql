-- name:   run_source
-- params: 1 runId uuid
-- result: zero or one row: what a copy of the run is made from: descriptor, callback_bearer (a
--         secret: it may only go into the copy's own column)
select descriptor, callback_bearer
  from runs
 where id = $1::uuid;
