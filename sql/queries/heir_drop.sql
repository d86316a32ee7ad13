-- name:   heir_drop
-- params: instance_id uuid, run_key bigint
-- result: none; its owner keeps the run
delete from run_heirs where run_key = $2::bigint and heir = $1::uuid;
