-- name:   batch_raw
-- params: arrays, one element per raw event
-- result: none
--
-- Arrays of one length, unnested side by side: as functions in FROM each would be stored first.
insert into run_events_raw (run_key, day, seq, source, epoch, ordinal, message_id, sender,
                            message_type, mode, received_at, sent_at, undecodable, body)
select unnest($1::bigint[]), unnest($2::date[]), unnest($3::integer[]), unnest($4::text[]),
       unnest($5::integer[]), unnest($6::bigint[]), unnest($7::text[]), unnest($8::text[]),
       unnest($9::text[]), unnest($10::text[]), unnest($11::timestamptz[]),
       unnest($12::timestamptz[]), unnest($13::boolean[]), unnest($14::bytea[]);
