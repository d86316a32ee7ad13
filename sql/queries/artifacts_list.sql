-- name:   artifacts_list
-- params: 1 runId uuid
-- result: artifacts, oldest first: id, kind, label, uri, inline, created_at; one row of nulls for
--         a run without any, none for an unknown run
select a.id, a.kind, a.label, a.uri, a.inline, a.created_at
  from runs r
  left join run_artifacts a using (run_key)
 where r.id = $1::uuid
 order by a.created_at, a.id;
