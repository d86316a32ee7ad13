-- name:   batch_ambient
-- params: arrays run_key bigint, ambient_key bigint, one element per envelope that is an event now
-- result: none
delete from ambient_envelopes
 where ambient_key in (select v.ambient_key from unnest($1::bigint[], $2::bigint[]) as v (run_key, ambient_key));
