-- name:   week_drop
-- params: 1 a day of the week date
-- result: one row: whether nobody else removes just now, whether the events of the week were dropped
with lock as materialized (
    select pg_try_advisory_xact_lock(7230165412) as held
)
select held, held and drop_week($1::date)
  from lock;
