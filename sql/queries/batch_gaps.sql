-- name:   batch_gaps
-- params: arrays, one element per range of envelopes that cannot be had
-- result: none
insert into observer_gaps (run_key, kind, epoch, from_ordinal, to_ordinal, from_ts, to_ts, detail)
select * from unnest($1::bigint[], $2::text[], $3::integer[], $4::bigint[], $5::bigint[],
                     $6::timestamptz[], $7::timestamptz[], $8::text[]);
