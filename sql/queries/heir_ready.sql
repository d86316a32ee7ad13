-- name:   heir_ready
-- params: instance_id uuid, run_key bigint, from_ordinal bigint
-- result: none; the owner may give us the run
update run_heirs set from_ordinal = $3::bigint where run_key = $2::bigint and heir = $1::uuid;
