-- name:   gap_signals
-- params: from and to in ms since 1970 bigint, detail text
-- result: none
--
-- A stretch in which signals of any run may have been missed.
insert into observer_gaps (run_key, kind, from_ts, to_ts, detail)
values (null, 'signals', to_timestamp($1::bigint / 1000.0), to_timestamp($2::bigint / 1000.0), $3);
