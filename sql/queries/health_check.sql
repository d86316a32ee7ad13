-- name:   health_check
-- params:
-- result: one row
select 1;
