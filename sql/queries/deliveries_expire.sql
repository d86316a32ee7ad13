-- name:   deliveries_expire
-- params: 1 age in days bigint, 2 limit bigint (null: none), 3 only count boolean
-- result: one row: whether nobody else removes just now, how many deliveries are older that were
--         made, were given up, or wait for a webhook that is switched off; how many of them were
--         removed
with lock as materialized (
    select pg_try_advisory_xact_lock(7230165412) as held
), expired as materialized (
    select x.id
      from webhook_deliveries x
     where (x.status in ('delivered', 'failed')
            or (x.lease_until <= now()
                and x.webhook_key in (select w.webhook_key from webhooks w where not w.active)))
       and x.created_at < now() - $1::bigint * interval '1 day'
     order by x.id
     limit $2::bigint
), gone as (
    delete from webhook_deliveries
     where id in (select id from expired)
       and not $3::boolean
       and (select held from lock)
    returning 1
)
select (select held from lock), (select count(*) from expired), (select count(*) from gone);
