-- name:   batch_canonical
-- params: arrays, one element per canonical event
-- result: none
--
-- Arrays of one length, unnested side by side: as functions in FROM each would be stored first.
insert into run_events_canonical (run_key, day, seq, ts, type, subject_kind, subject_id, source_kind,
                                  source_name, raw_type, sender, trace_id, span_id, data)
select unnest($1::bigint[]), unnest($2::date[]), unnest($3::integer[]), unnest($4::timestamptz[]),
       unnest($5::text[]), unnest($6::text[]), unnest($7::text[]), unnest($8::text[]),
       unnest($9::text[]), unnest($10::text[]), unnest($11::text[]), unnest($12::text[]),
       unnest($13::text[]), unnest($14::jsonb[]);
