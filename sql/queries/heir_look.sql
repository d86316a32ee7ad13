-- name:   heir_look
-- params: instance_id uuid, run_keys bigint[] that we asked for
-- result: per key: run_key, fence, whether it is ours now, whether we are still its heir
select k, coalesce(o.fence, 0), (o.owner = $1::uuid) is true, (h.heir = $1::uuid) is true
  from unnest($2::bigint[]) as k
  left join run_observers o on o.run_key = k
  left join run_heirs h on h.run_key = k;
