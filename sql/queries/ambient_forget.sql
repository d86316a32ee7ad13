-- name:   ambient_forget
-- params: none
-- result: none; envelopes of sessions that nobody has observed for a day. Those without a session stay.
delete from ambient_envelopes
 where session_id <> '' and received_at < now() - interval '24 hours';
