-- name:   events_astray
-- params: none
-- result: one row: how many event rows are of days that no week was made for, at most 10000
select (select count(*) from (select from run_events_raw_default limit 5000) r)
       + (select count(*) from (select from run_events_canonical_default limit 5000) c);
