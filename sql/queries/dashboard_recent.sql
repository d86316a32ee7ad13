-- name:   dashboard_recent
-- params: 1 scenarioRef text, 2 environment text (null: no such filter)
-- plan:   each time
-- result: the ten newest runs: id, status, runtime_kind, source_ref, started_at, ended_at,
--         created_at
select r.id, r.status, r.runtime_kind, r.source_ref, r.started_at, r.ended_at, r.created_at
  from (select l.run_key, l.created_at, l.id
          from run_list l
         where not l.sandbox
           and not l.archived
           and ($1::text is null or l.source_ref = $1
                or l.scenario like '%' || like_escape(lower($1)) || '%')
           and ($2::text is null or l.environment = list_name($2))
         order by l.created_at desc, l.id
         limit 10) l
  join runs r using (run_key)
 order by l.created_at desc, l.id;
