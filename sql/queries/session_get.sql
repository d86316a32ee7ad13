-- name:   session_get
-- params: 1 runId uuid
-- result: zero or one row: the session of a run: run id, runtime_kind, session_id, mode_name,
--         mode_version, configuration_version, policy_version, initiator, session_state,
--         expires_at, last_seen_at, capabilities, cursor, participants as json, created_at,
--         updated_at
select r.id, s.runtime_kind, s.session_id, s.mode_name, s.mode_version, s.configuration_version,
       s.policy_version, s.initiator, s.session_state, s.expires_at, s.last_seen_at,
       s.capabilities, o.cursor,
       (select json_build_object('participants',
                                 coalesce(json_agg(json_build_object('id', p.id) order by p.place),
                                          '[]'))
          from unnest(s.participants) with ordinality as p (id, place)),
       s.created_at, s.updated_at
  from runs r
  join run_sessions s using (run_key)
  join run_observers o using (run_key)
 where r.id = $1::uuid;
