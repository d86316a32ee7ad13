-- name:   run_events_back
-- params: 1 runId uuid, 2 afterSeq integer, 3 limit bigint, 4 afterTs timestamptz,
--         5 beforeTs timestamptz, 6 types json (null: no such filter), 7 beforeSeq integer
-- result: events between the two numbers, the newest first (the columns of enum event_column), with
--         the total of the filter, which ignores both numbers, behind them (null without a filter);
--         for an empty page one row with the total only
with filtered as not materialized (
    select e.seq, e.ts, e.type, e.subject_kind, e.subject_id, e.source_kind, e.source_name,
           e.raw_type, e.trace_id, e.span_id, e.parent_span_id, e.schema_version, e.data, e.id,
           e.created_at
      from run_events_canonical e
     where e.day = (select r.day from runs r where r.id = $1::uuid)
       and e.run_key = (select r.run_key from runs r where r.id = $1::uuid)
       and ($4::timestamptz is null or e.ts >= $4)
       and ($5::timestamptz is null or e.ts < $5)
       and ($6::json is null or e.type = any (array(select json_array_elements_text($6::json))))
)
select p.seq, p.ts, p.type, p.subject_kind, p.subject_id, p.source_kind, p.source_name, p.raw_type,
       p.trace_id, p.span_id, p.parent_span_id, p.schema_version, p.data, p.id, p.created_at,
       t.total
  from (select case when coalesce($4::timestamptz, $5::timestamptz) is not null
                      or $6::json is not null
                    then (select count(*) from filtered) end as total) t
  left join (select *
               from filtered f
              where f.seq > $2::integer and f.seq < $7::integer
              order by f.seq desc
              limit $3::bigint) p on true
 order by p.seq desc;
