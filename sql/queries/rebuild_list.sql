-- name:   rebuild_list
-- params: after run_key bigint, since timestamptz (null: all), limit bigint
-- result: run_key, id of the runs created since then, in order of run_key
select run_key, id
  from runs
 where run_key > $1::bigint and ($2::timestamptz is null or created_at >= $2::timestamptz)
 order by run_key
 limit $3::bigint;
