-- name:   commands_state
-- params: 1 ids bigint[]
-- result: one row per command that there is: id, state, result jsonb
select c.id, c.state, c.result
  from commands c
 where c.id = any ($1::bigint[]);
