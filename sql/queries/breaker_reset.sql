-- name:   breaker_reset
-- params:
-- result: none; every living observer closes its breaker when it sees the stamp
update observer_instances
   set breaker_reset_at = now()
 where alive_until > now();
