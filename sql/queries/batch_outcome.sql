-- name:   batch_outcome
-- params: run keys bigint[]
-- result: run_key, fence, cursor, last_seq: tells whether a batch with an unknown outcome was committed
select run_key, fence, cursor, last_seq from run_observers where run_key = any ($1::bigint[]);
