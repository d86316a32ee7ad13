-- name:   events_oldest
-- params: none
-- result: one row: before that time no event of a run that is still there can be; null without runs
select min(created_at) - interval '1 hour' from run_list;
