-- name:   webhook_claim
-- params: 1 how many at most, 2 how many of one webhook may be under way, 3 leaseMs bigint
-- result: the deliveries that are taken: id, public_id, event, body, attempts (this one included),
--         until when it is taken, webhook id, url, secret
--
-- An attempt counts when it is known what came of it. Webhooks with little under way come first. Of a run only the oldest event that is not settled is
-- taken. Two instances that look at the same moment may together take a few more of one webhook.
with endpoint as (
    select w.webhook_key,
           (select count(*)
              from webhook_deliveries u
             where u.webhook_key = w.webhook_key and u.status = 'pending'
               and u.lease_until > '-infinity' and u.lease_until > now()) as under_way
      from webhooks w
     where w.active
), due as (
    select d.id, d.next_attempt_at,
           e.under_way + row_number() over (partition by e.webhook_key
                                            order by d.next_attempt_at, d.id) as turn
      from endpoint e
     cross join lateral (
           select p.id, p.next_attempt_at
             from webhook_deliveries p
            where p.webhook_key = e.webhook_key and p.status = 'pending'
              and p.next_attempt_at <= now() and p.lease_until <= now()
              and not exists (select
                                from webhook_deliveries o
                               where o.webhook_key = p.webhook_key and o.run_key = p.run_key
                                 and o.run_version < p.run_version and o.status = 'pending')
            order by p.next_attempt_at, p.id
            limit greatest($2::bigint - e.under_way, 0)
              for update skip locked) d
)
update webhook_deliveries d
   set last_attempt_at = now(),
       lease_until = now() + $3::bigint * interval '1 millisecond'
  from webhooks w
 -- An array: a few rows by their keys, whatever the planner thinks of the limit.
 where d.id = any (array(select id
                           from due
                          order by turn, next_attempt_at, id
                          limit $1::bigint))
   and w.webhook_key = d.webhook_key
returning d.id, d.public_id, d.event, d.body, d.attempts + 1, d.lease_until, w.id, w.url, w.secret;
