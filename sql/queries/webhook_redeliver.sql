-- name:   webhook_redeliver
-- params: 1 webhookId uuid, 2 deliveryId uuid, 3 actor text, 4 actorType text, 5 requestId text,
--         6 id of the audit row uuid
-- result: none for an unknown webhook; else one row: the columns of webhook_deliveries_list without
--         the total (all null for an unknown delivery), then whether the webhook is active
--
-- The delivery begins anew, with the same id and body; once, however often it is asked for with the
-- same audit row. Nothing is changed while an attempt is under way or the webhook is not active.
with target as (
    select w.id as webhook_id, w.active, d.id
      from webhooks w
      left join webhook_deliveries d on d.webhook_key = w.webhook_key and d.public_id = $2::uuid
     where w.id = $1::uuid
), again as (
    update webhook_deliveries d
       set status = 'pending',
           attempts = 0,
           next_attempt_at = now(),
           lease_until = '-infinity', -- an earlier attempt that is still answered counts no more
           response_status = null,
           response_head = null,
           error_message = null,
           delivered_at = null
      from target t
     where d.id = t.id and t.active and d.lease_until <= now()
       and not exists (select from audit_log l where l.id = $6::uuid)
    returning d.id, d.public_id, d.run_key, d.event, d.status, d.attempts, d.next_attempt_at,
              d.last_attempt_at, d.response_status, d.error_message, d.created_at, d.delivered_at
), audit as (
    insert into audit_log (id, actor, actor_type, action, resource, resource_id, details,
                           request_id)
    select $6::uuid, $3::text, $4::text, 'webhook.redelivered', 'webhook',
           t.webhook_id::text, jsonb_build_object('deliveryId', a.public_id), $5::text
      from target t
      join again a using (id)
), shown as (
    select id, public_id, run_key, event, status, attempts, next_attempt_at, last_attempt_at,
           response_status, error_message, created_at, delivered_at
      from again
     union all
    select d.id, d.public_id, d.run_key, d.event, d.status, d.attempts, d.next_attempt_at,
           d.last_attempt_at, d.response_status, d.error_message, d.created_at, d.delivered_at
      from webhook_deliveries d
      join target using (id)
     where not exists (select from again)
)
select s.public_id, r.id, s.event, s.status, s.attempts,
       case when s.status = 'pending' then s.next_attempt_at end, s.last_attempt_at,
       s.response_status, s.error_message, s.created_at, s.delivered_at, t.active
  from target t
  left join shown s using (id)
  left join runs r using (run_key);
