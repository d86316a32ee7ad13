-- name:   batch_fact_signals
-- params: arrays, one element per signal
-- result: none
insert into run_signals (run_key, seq, ts, signal_id, name, participant_id, confidence)
select * from unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::text[], $5::text[],
                     $6::text[], $7::double precision[]);
