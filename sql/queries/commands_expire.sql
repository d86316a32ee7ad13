-- name:   commands_expire
-- params: 1 age in days bigint, 2 limit bigint (null: none), 3 only count boolean
-- result: one row: whether nobody else removes just now, how many finished commands are older, how
--         many of them were removed
with lock as materialized (
    select pg_try_advisory_xact_lock(7230165412) as held
), expired as materialized (
    select x.id
      from commands x
     where x.state in ('done', 'failed', 'expired')
       and coalesce(x.finished_at, x.deadline) < now() - $1::bigint * interval '1 day'
     order by x.id
     limit $2::bigint
), gone as (
    delete from commands
     where id in (select id from expired)
       and not $3::boolean
       and (select held from lock)
    returning 1
)
select (select held from lock), (select count(*) from expired), (select count(*) from gone);
