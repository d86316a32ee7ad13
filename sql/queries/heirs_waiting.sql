-- name:   heirs_waiting
-- params: instance_id uuid, limit int
-- result: run_key, from_ordinal of our runs whose heir reads their session
select h.run_key, h.from_ordinal
  from run_heirs h
  join run_observers o using (run_key)
 where o.owner = $1::uuid and not o.closed and h.heir <> $1::uuid and h.from_ordinal is not null
 order by h.run_key
 limit $2::integer;
