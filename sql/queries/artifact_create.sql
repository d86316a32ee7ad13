-- name:   artifact_create
-- params: 1 runId uuid, 2 id uuid, 3 kind text, 4 label text, 5 uri text, 6 inline json
-- result: zero or one row: run id, created_at
with made as (
    insert into run_artifacts (id, run_key, kind, label, uri, inline)
    select $2::uuid, r.run_key, $3::text, $4::text, $5::text, $6::json
      from runs r
     where r.id = $1::uuid
    returning created_at
)
select $1::uuid, created_at
  from made;
