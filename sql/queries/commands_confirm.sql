-- name:   commands_confirm
-- params: 1 ids bigint[]
-- result: id, status of its run
select c.id, r.status
  from commands c
  join runs r using (run_key)
 where c.id = any ($1::bigint[]);
