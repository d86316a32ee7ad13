-- name:   artifact_find
-- params: 1 id uuid
-- result: zero or one row: run id, created_at
select r.id, a.created_at
  from run_artifacts a
  join runs r using (run_key)
 where a.id = $1::uuid;
