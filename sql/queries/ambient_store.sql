-- name:   ambient_store
-- params: arrays session_id, sender, message_type, message_id, received_at, body: one element per envelope
-- result: none
--
-- Every instance hears every signal, so most of them are stored by several: the first one wins.
insert into ambient_envelopes (session_id, sender, message_type, message_id, received_at, body)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bytea[])
    on conflict (session_id, sender, message_type, message_id) do nothing;
