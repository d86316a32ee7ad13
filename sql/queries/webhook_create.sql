-- name:   webhook_create
-- params: 1 id uuid, 2 url text, 3 events json, 4 secret text, 5 actor text, 6 actorType text,
--         7 requestId text, 8 id of the audit row uuid: with the same one it is written once
-- result: one row: the webhook, as enum webhook_column names it (no secret)
with made as (
    insert into webhooks (id, url, events, secret)
    values ($1::uuid, $2::text, array(select json_array_elements_text($3::json)), $4::text)
    on conflict (id) do update set id = excluded.id -- the first attempt was stored after all
    returning id, url, events, active, created_at, updated_at
), audit as (
    insert into audit_log (id, actor, actor_type, action, resource, resource_id, request_id)
    select $8::uuid, $5::text, $6::text, 'webhook.created', 'webhook', id::text, $7::text
      from made
    on conflict (id) do nothing
)
select id, url, to_json(events), active, created_at, updated_at
  from made;
