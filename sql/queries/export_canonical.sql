-- name:   export_canonical
-- params: 1 runId uuid, 2 afterSeq integer, 3 limit bigint, 4 bytes bigint
-- result: the next events by seq: the columns of enum event_column. At most so many, and no more
--         than about so many bytes as they are stored, but at least one when there is one
select p.seq, p.ts, p.type, p.subject_kind, p.subject_id, p.source_kind, p.source_name, p.raw_type,
       p.trace_id, p.span_id, p.parent_span_id, p.schema_version, p.data, p.id, p.created_at
  from (select e.seq, e.ts, e.type, e.subject_kind, e.subject_id, e.source_kind, e.source_name,
               e.raw_type, e.trace_id, e.span_id, e.parent_span_id, e.schema_version, e.data, e.id,
               e.created_at, sum(pg_column_size(e.data)) over (order by e.seq) as gathered,
               pg_column_size(e.data) as own
          from run_events_canonical e
         where e.day = (select r.day from runs r where r.id = $1::uuid)
           and e.run_key = (select r.run_key from runs r where r.id = $1::uuid)
           and e.seq > $2::integer
         order by e.seq
         limit $3::bigint) p
 where p.gathered - p.own <= $4::bigint
 order by p.seq;
