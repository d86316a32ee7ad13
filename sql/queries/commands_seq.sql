-- name:   commands_seq
-- params: 1 ids bigint[]
-- result: id, last stored number of its run
select c.id, o.last_seq
  from commands c
  join run_observers o using (run_key)
 where c.id = any ($1::bigint[]);
