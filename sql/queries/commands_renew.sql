-- name:   commands_renew
-- params: 1 instance_id uuid, 2 lease_ms int, 3 ids bigint[]
-- result: id of those that are still ours
update commands
   set lease_until = now() + $2::integer * interval '1 millisecond'
 where id = any ($3::bigint[]) and owner = $1::uuid and state = 'running'
returning id;
