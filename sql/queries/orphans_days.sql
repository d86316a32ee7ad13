-- name:   orphans_days
-- params: 1 age in days bigint (null: every day that has a table)
-- result: days whose events have to be looked at one by one: those of weeks that are over for so
--         long but have runs left, and those that no week was made for
with recursive today as (
    select (now() at time zone 'utc')::date as day
), weeks as (
    select distinct to_date(right(c.relname, 8), 'YYYYMMDD') as monday
      from pg_class c
     where c.relnamespace = 'macp'::regnamespace
       and c.relkind = 'r'
       and c.relname ~ '^run_events_(raw|canonical)_[0-9]{8}$'
), strays as (
    -- From day to day by the primary keys, however many rows a day has.
    select least((select min(e.day) from run_events_raw_default e),
                 (select min(e.day) from run_events_canonical_default e)) as day
    union all
    select least((select min(e.day) from run_events_raw_default e where e.day > s.day),
                 (select min(e.day) from run_events_canonical_default e where e.day > s.day))
      from strays s
     where s.day is not null
)
select w.monday + d.nth as day
  from weeks w
 cross join today t
 cross join generate_series(0, 6) as d (nth)
 where $1::bigint is null
    or w.monday + 7 <= least(t.day - $1::bigint::integer, date_trunc('week', t.day)::date - 7)
 union
select day
  from strays
 where day is not null
 order by day;
