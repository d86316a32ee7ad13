-- name:   batch_guard
-- params: arrays run_key bigint, fence bigint, old_cursor bigint, new_cursor bigint, old_seq int, new_seq int
-- result: none; SQLSTATE MACP1 with the run keys in DETAIL when a run is not ours or has moved
select guard_runs($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::integer[]);
