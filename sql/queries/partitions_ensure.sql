-- name:   partitions_ensure
-- params: none
-- result: one row: how many tables were made
select ensure_partitions((now() at time zone 'utc')::date - 7, 6);
