-- name:   webhook_deliveries_list
-- params: 1 webhookId uuid, 2 status text (null: any), 3 limit bigint, 4 offset bigint
-- plan:   each time
-- result: deliveries, newest first: id, run id (null when it is deleted), event, status, attempts,
--         next_attempt_at, last_attempt_at, response_status, error_message, created_at,
--         delivered_at, then the total of the filter; for an empty page one row with the total
--         only; none for an unknown webhook
--
-- Counting ends at 10001 rows, or one behind the page when that is further: then there are more.
with found as materialized (
    select d.id, row_number() over (order by d.id desc) as place
      from webhook_deliveries d
     where d.webhook_key = (select w.webhook_key from webhooks w where w.id = $1::uuid)
       and ($2::text is null or d.status = $2)
     order by d.id desc
     limit greatest(10001, $3::bigint + $4::bigint + 1)
)
select d.public_id, r.id, d.event, d.status, d.attempts,
       case when d.status = 'pending' then d.next_attempt_at end, d.last_attempt_at,
       d.response_status, d.error_message, d.created_at, d.delivered_at, t.total
  from (select count(*) as total from found
        having exists (select from webhooks w where w.id = $1::uuid)) t
  left join (found p join webhook_deliveries d using (id))
    on p.place > $4::bigint and p.place <= $3::bigint + $4::bigint
  left join runs r on r.run_key = d.run_key
 order by p.place;
