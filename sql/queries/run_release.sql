-- name:   run_release
-- params: run_key bigint, fence bigint, instance_id uuid
-- result: none; the run is free if it was still ours
update run_observers set owner = null
 where run_key = $1::bigint and fence = $2::bigint and owner = $3::uuid;
