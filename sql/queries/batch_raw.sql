-- name:   batch_raw
-- params: arrays, one element per raw event
-- result: none
insert into run_events_raw (run_key, day, seq, source, epoch, ordinal, message_id, sender,
                            message_type, mode, received_at, sent_at, undecodable, body)
select * from unnest($1::bigint[], $2::date[], $3::integer[], $4::text[], $5::integer[], $6::bigint[],
                     $7::text[], $8::text[], $9::text[], $10::text[], $11::timestamptz[],
                     $12::timestamptz[], $13::boolean[], $14::bytea[]);
