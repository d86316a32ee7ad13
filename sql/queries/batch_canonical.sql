-- name:   batch_canonical
-- params: arrays, one element per canonical event
-- result: none
insert into run_events_canonical (run_key, day, seq, ts, type, subject_kind, subject_id, source_kind,
                                  source_name, raw_type, sender, trace_id, span_id, data)
select * from unnest($1::bigint[], $2::date[], $3::integer[], $4::timestamptz[], $5::text[], $6::text[],
                     $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
                     $13::text[], $14::jsonb[]);
