-- name:   streams_changed
-- params: arrays 1 runId uuid, 2 seq integer (highest one known)
-- result: runs with higher numbers: runId, last_seq; null when there is no such run (any more)
select v.id, o.last_seq
  from unnest($1::uuid[], $2::integer[]) as v (id, seq)
  left join runs r on r.id = v.id
  left join run_observers o using (run_key)
 where o.last_seq > v.seq or o.last_seq is null;
