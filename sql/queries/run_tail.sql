-- name:   run_tail
-- params: arrays run_key bigint, day (days since 1970) int, version int (last folded seq)
-- result: events after the version, and every participant.seen: run_key, seq, ts in ms, type, subject_kind, subject_id, trace_id, span_id, id, data, source_kind, source_name, raw_type
select e.run_key, e.seq, (extract(epoch from e.ts) * 1000)::bigint, e.type, e.subject_kind,
       e.subject_id, e.trace_id, e.span_id, e.id, e.data::text, e.source_kind, e.source_name, e.raw_type
  from unnest($1::bigint[], $2::integer[], $3::integer[]) as v (run_key, day, version)
  join run_events_canonical e
    on e.day = date '1970-01-01' + v.day and e.run_key = v.run_key
   and (e.seq > v.version or e.type = 'participant.seen')
 order by e.run_key, e.seq;
