-- name:   batch_fact_votes
-- params: arrays, one element per vote
-- result: none
insert into run_votes (run_key, seq, ts, proposal_id, participant_id, message_type, vote)
select * from unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::text[], $5::text[],
                     $6::text[], $7::text[]);
