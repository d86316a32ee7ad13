-- name:   dashboard_recent
-- params: 1 scenarioRef text, 2 environment text (null: no such filter)
-- result: the ten newest runs: id, status, runtime_kind, source_ref, started_at, ended_at,
--         created_at
select r.id, r.status, r.runtime_kind, r.source_ref, r.started_at, r.ended_at, r.created_at
  from runs r
 where r.mode <> 'sandbox'
   and r.archived_at is null
   and ($1::text is null or r.source_ref = $1 or position(lower($1) in lower(r.scenario_ref)) > 0)
   and ($2::text is null or r.environment = $2)
 order by r.created_at desc, r.id
 limit 10;
