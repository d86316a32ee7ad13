-- name:   webhook_deliveries_list
-- params: 1 webhookId uuid, 2 status text (null: any), 3 limit bigint, 4 offset bigint
-- result: deliveries, newest first: id, run id (null when it is deleted), event, status, attempts,
--         next_attempt_at, last_attempt_at, response_status, error_message, created_at,
--         delivered_at, then the total of the filter; for an empty page one row with the total
--         only; none for an unknown webhook
with filtered as not materialized (
    select d.id, d.public_id, d.run_key, d.event, d.status, d.attempts, d.next_attempt_at,
           d.last_attempt_at, d.response_status, d.error_message, d.created_at, d.delivered_at
      from webhook_deliveries d
     where d.webhook_key = (select w.webhook_key from webhooks w where w.id = $1::uuid)
       and ($2::text is null or d.status = $2)
)
select p.public_id, r.id, p.event, p.status, p.attempts,
       case when p.status = 'pending' then p.next_attempt_at end, p.last_attempt_at,
       p.response_status, p.error_message, p.created_at, p.delivered_at, t.total
  from (select count(*) as total from filtered
        having exists (select from webhooks w where w.id = $1::uuid)) t
  left join (select *
               from filtered f
              order by f.id desc
              limit $3::bigint offset $4::bigint) p on true
  left join runs r on r.run_key = p.run_key
 order by p.id desc;
