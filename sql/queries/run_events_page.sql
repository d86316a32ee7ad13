-- name:   run_events_page
-- params: 1 runId uuid, 2 afterSeq integer, 3 limit bigint
-- result: events by seq: the columns of enum event_column; none for an unknown run
select e.seq, e.ts, e.type, e.subject_kind, e.subject_id, e.source_kind, e.source_name, e.raw_type,
       e.trace_id, e.span_id, e.parent_span_id, e.schema_version, e.data, e.id, e.created_at
  from run_events_canonical e
 -- Both parts of the key as constants of the statement: only one partition is looked at.
 where e.day = (select r.day from runs r where r.id = $1::uuid)
   and e.run_key = (select r.run_key from runs r where r.id = $1::uuid)
   and e.seq > $2::integer
 order by e.seq
 limit $3::bigint;
