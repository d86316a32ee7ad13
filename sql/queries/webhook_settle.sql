-- name:   webhook_settle
-- params: 1 id bigint, 2 until when it was taken, a time as text, 3 whether it counts as an
--         attempt boolean, 4 status text, 5 waitMs bigint, 6 responseStatus integer,
--         7 responseHead text, 8 errorMessage text, 9 unsubscribe boolean
-- result: none; nothing happens when somebody else has taken the delivery meanwhile
--
-- What waits behind it, of the same run and webhook, is due when it is: at once when it is settled.
with settled as (
    update webhook_deliveries
       set status = $4::text,
           attempts = attempts + $3::boolean::integer,
           next_attempt_at = now() + $5::bigint * interval '1 millisecond',
           lease_until = '-infinity',
           response_status = case when $3::boolean then $6::integer else response_status end,
           response_head = case when $3::boolean then $7::text else response_head end,
           error_message = case when $3::boolean then $8::text else error_message end,
           delivered_at = case when $4::text = 'delivered' then now() end
     where id = $1::bigint and lease_until = $2::text::timestamptz and status = 'pending'
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
     where $9::boolean and w.webhook_key = s.webhook_key and w.active
    returning w.id
)
insert into audit_log (id, actor, actor_type, action, resource, resource_id, details)
select gen_random_uuid(), 'macp-observerd', 'system', 'webhook.updated', 'webhook', id::text,
       '{"active": false, "reason": "the endpoint answered 410"}'
  from gone;
