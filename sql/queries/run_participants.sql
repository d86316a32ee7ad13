-- name:   run_participants
-- params: run keys bigint[]
-- result: run_key, participant_id, declared, status, messages, first_seen and last_active in ms since 1970; as of the stored projection
select run_key, participant_id, declared, status, messages,
       (extract(epoch from first_seen_at) * 1000)::bigint,
       (extract(epoch from last_active_at) * 1000)::bigint
  from run_participants
 where run_key = any ($1::bigint[]);
