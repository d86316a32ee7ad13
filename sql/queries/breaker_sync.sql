-- name:   breaker_sync
-- params: instance_id uuid, breaker_state text, breaker_history json
-- result: zero or one row: when the breaker was last told to close (ms since 1970, null: never)
--
-- Written only when it differs, so that it can be run twice a second, also after the row was made
-- anew.
with published as (
    update observer_instances
       set breaker_state = $2, breaker_history = $3::json
     where instance_id = $1::uuid and (breaker_state <> $2 or breaker_history::text <> $3))
select (extract(epoch from breaker_reset_at) * 1000)::bigint
  from observer_instances
 where instance_id = $1::uuid;
