-- name:   ambient_take
-- params: session ids text[], behind this ambient_key bigint, limit int
-- result: ambient_key, session_id, received_at in ms since 1970, body in hex; in the order they were stored
--
-- Only reads: a row goes in the transaction that makes events of it.
select a.ambient_key, a.session_id, (extract(epoch from a.received_at) * 1000)::bigint,
       encode(a.body, 'hex')
  from ambient_envelopes a
 where a.session_id = any ($1::text[]) and a.ambient_key > $2::bigint
 order by a.ambient_key
 limit $3::integer;
