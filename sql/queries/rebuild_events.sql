-- name:   rebuild_events
-- params: run_key bigint, day (days since 1970) int, after seq int, limit bigint
-- result: seq, ts in ms since 1970, type, subject_kind, subject_id, trace_id, span_id, id, data, source_kind
select seq, (extract(epoch from ts) * 1000)::bigint, type, subject_kind, subject_id, trace_id,
       span_id, id, data::text, source_kind
  from run_events_canonical
 where day = date '1970-01-01' + $2::integer and run_key = $1::bigint and seq > $3::integer
 order by seq
 limit $4::bigint;
