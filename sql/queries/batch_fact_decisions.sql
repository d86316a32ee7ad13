-- name:   batch_fact_decisions
-- params: arrays, one element per commitment
-- result: none
insert into run_decisions (run_key, seq, ts, commitment_id, action, outcome_positive, confidence,
                           decided_by, reason, final)
select * from unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::text[], $5::text[],
                     $6::boolean[], $7::double precision[], $8::text[], $9::text[], $10::boolean[]);
