-- name:   weeks_list
-- params: 1 age in days bigint
-- result: one row per week with tables of events, oldest first: first day, how many tables (two are
--         right), whether all of them are partitions, about how many rows, bytes, runs created in
--         that week, runs of it that are alive or not that old, whether the week is over for so
--         long that nothing of it has to stay
--
-- A week that tables are made ahead for is never over.
with tables as (
    select to_date(right(c.relname, 8), 'YYYYMMDD') as monday, c.reltuples,
           pg_total_relation_size(c.oid) as bytes,
           exists (select from pg_inherits i where i.inhrelid = c.oid) as attached
      from pg_class c
     where c.relnamespace = 'macp'::regnamespace
       and c.relkind = 'r'
       and c.relname ~ '^run_events_(raw|canonical)_[0-9]{8}$'
), weeks as (
    select monday, count(*) as tables, bool_and(attached) as attached,
           sum(greatest(reltuples, 0))::bigint as events, sum(bytes)::bigint as bytes
      from tables
     group by monday
), today as (
    select (now() at time zone 'utc')::date as day
)
select w.monday, w.tables, w.attached, w.events, w.bytes, r.runs, r.kept,
       w.monday + 7 <= least(t.day - $1::bigint::integer, date_trunc('week', t.day)::date - 7)
  from weeks w
 cross join today t
 cross join lateral (
           select count(*) as runs,
                  count(*) filter (where (r.status in ('completed', 'failed', 'cancelled')
                                          and r.ended_at < now() - $1::bigint * interval '1 day')
                                         is not true) as kept
             from runs r
            where r.day >= w.monday and r.day < w.monday + 7) r
 order by w.monday;
