-- name:   batch_fact_participants
-- params: arrays, one element per participant that changed; of several the last one stands
-- result: none
insert into run_participants as p (run_key, participant_id, declared, status, messages,
                                   first_seen_at, last_active_at)
select distinct on (b.run_key, b.participant_id)
       b.run_key, b.participant_id, b.declared, b.status, b.messages, b.first_seen_at,
       b.last_active_at
  from unnest($1::bigint[], $2::text[], $3::boolean[], $4::text[], $5::bigint[], $6::timestamptz[],
              $7::timestamptz[]) with ordinality
           as b (run_key, participant_id, declared, status, messages, first_seen_at,
                 last_active_at, n)
 order by b.run_key, b.participant_id, b.n desc
on conflict (run_key, participant_id) do update
   set declared = excluded.declared, status = excluded.status, messages = excluded.messages,
       first_seen_at = excluded.first_seen_at, last_active_at = excluded.last_active_at;
