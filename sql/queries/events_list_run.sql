-- name:   events_list_run
-- params: 1 runId uuid, 2 scenarioRef text, 3 afterTs timestamptz, 4 beforeTs timestamptz,
--         5 types json (null: no such filter), 6 afterSeq integer, 7 beforeSeq integer (null: no
--         such bound), 8 newest first boolean, 9 limit bigint, 10 how far to count bigint
-- plan:   each time
-- result: events of the run (the columns of enum event_column), then the run's id, the total of the
--         filter, which ignores both numbers; for an empty page one row with the total only
with run as materialized (
    select r.id
      from runs r
     where r.id = $1::uuid
       and ($2::text is null or r.source_ref = $2
            or position(lower($2) in lower(r.scenario_ref)) > 0)
), filtered as not materialized (
    select e.seq, e.ts, e.type, e.subject_kind, e.subject_id, e.source_kind, e.source_name,
           e.raw_type, e.trace_id, e.span_id, e.parent_span_id, e.schema_version, e.data, e.id,
           e.created_at, run.id as run_id
      from run
     cross join run_events_canonical e
     -- Both parts of the key as constants of the statement: only one partition is looked at.
     where e.day = (select r.day from runs r where r.id = $1::uuid)
       and e.run_key = (select r.run_key from runs r where r.id = $1::uuid)
       and ($3::timestamptz is null or e.ts >= $3)
       and ($4::timestamptz is null or e.ts < $4)
       and ($5::json is null or e.type = any (json_texts($5::json)))
)
select p.seq, p.ts, p.type, p.subject_kind, p.subject_id, p.source_kind, p.source_name, p.raw_type,
       p.trace_id, p.span_id, p.parent_span_id, p.schema_version, p.data, p.id, p.created_at,
       p.run_id, t.total
  from (select count(*) as total from (select from filtered limit $10::bigint) c) t
  left join (select *
               from filtered f
              where f.seq > $6::integer
                and ($7::integer is null or f.seq < $7)
              order by case when $8::boolean then f.seq end desc, f.seq
              limit $9::bigint) p on true
 order by case when $8 then p.seq end desc, p.seq;
