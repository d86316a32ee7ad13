-- name:   commands_release
-- params: 1 instance_id uuid, 2 ids bigint[]
-- result: none; others may carry them out from now on
update commands
   set owner = null, lease_until = '-infinity'
 where id = any ($2::bigint[]) and owner = $1::uuid and state = 'running';
