-- name:   audit_expire
-- params: 1 age in days bigint, 2 limit bigint (null: none), 3 only count boolean
-- result: one row: whether nobody else removes just now, how many audit rows are older, how many of
--         them were removed
with lock as materialized (
    select pg_try_advisory_xact_lock(7230165412) as held
), expired as materialized (
    select x.audit_key
      from audit_log x
     where x.created_at < now() - $1::bigint * interval '1 day'
     order by x.created_at
     limit $2::bigint
), gone as (
    delete from audit_log
     where audit_key in (select audit_key from expired)
       and not $3::boolean
       and (select held from lock)
    returning 1
)
select (select held from lock), (select count(*) from expired), (select count(*) from gone);
