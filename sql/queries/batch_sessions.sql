-- name:   batch_sessions
-- params: arrays run_key bigint, session_state text, expires_at timestamptz, seen_at timestamptz
-- result: none
update run_sessions s
   set session_state = b.session_state, expires_at = coalesce(b.expires_at, s.expires_at),
       last_seen_at = b.seen_at, updated_at = now()
  from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[])
       as b (run_key, session_state, expires_at, seen_at)
 where s.run_key = b.run_key;
