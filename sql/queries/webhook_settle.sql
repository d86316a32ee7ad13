-- name:   webhook_settle
-- params: 1 id bigint, 2 attempts integer (of the attempt this is the result of), 3 status text,
--         4 waitMs bigint, 5 responseStatus integer, 6 responseHead text, 7 errorMessage text,
--         8 unsubscribe boolean
-- result: none; nothing happens when somebody else has taken the delivery meanwhile
--
-- What waits behind it, of the same run and webhook, is due when it is: at once when it is settled.
with settled as (
    update webhook_deliveries
       set status = $3::text,
           next_attempt_at = now() + $4::bigint * interval '1 millisecond',
           lease_until = '-infinity',
           response_status = $5::integer,
           response_head = $6::text,
           error_message = $7::text,
           delivered_at = case when $3::text = 'delivered' then now() end
     where id = $1::bigint and attempts = $2::integer and status = 'pending'
    returning webhook_key, run_key, run_version, next_attempt_at
), behind as (
    update webhook_deliveries d
       set next_attempt_at = s.next_attempt_at
      from settled s
     where d.webhook_key = s.webhook_key and d.run_key = s.run_key
       and d.run_version > s.run_version and d.status = 'pending' and d.lease_until <= now()
), gone as (
    update webhooks w
       set active = false, updated_at = now()
      from settled s
     where $8::boolean and w.webhook_key = s.webhook_key and w.active
    returning w.id
)
insert into audit_log (id, actor, actor_type, action, resource, resource_id, details)
select gen_random_uuid(), 'macp-observerd', 'system', 'webhook.updated', 'webhook', id::text,
       '{"active": false, "reason": "the endpoint answered 410"}'
  from gone;
