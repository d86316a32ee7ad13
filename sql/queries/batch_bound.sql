-- name:   batch_bound
-- params: arrays, one element per run bound to its session; participants and extension keys as JSON arrays
-- result: none
insert into run_sessions (run_key, session_id, runtime_kind, mode_name, mode_version,
                          configuration_version, policy_version, initiator, participants, context_id,
                          extension_keys, session_state, capabilities, started_at, expires_at,
                          last_seen_at)
select b.run_key, b.session_id, b.runtime_kind, b.mode_name, b.mode_version, b.configuration_version,
       b.policy_version, b.initiator, array(select json_array_elements_text(b.participants)),
       b.context_id, array(select json_array_elements_text(b.extension_keys)), b.session_state,
       b.capabilities, b.started_at, b.expires_at, b.seen_at
  from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
              $8::text[], $9::json[], $10::text[], $11::json[], $12::text[], $13::json[],
              $14::timestamptz[], $15::timestamptz[], $16::timestamptz[])
       as b (run_key, session_id, runtime_kind, mode_name, mode_version, configuration_version,
             policy_version, initiator, participants, context_id, extension_keys, session_state,
             capabilities, started_at, expires_at, seen_at)
on conflict (run_key) do update
   set session_state = excluded.session_state, started_at = excluded.started_at,
       expires_at = excluded.expires_at, last_seen_at = excluded.last_seen_at, updated_at = now();
