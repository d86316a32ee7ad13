-- name:   webhook_update
-- params: 1 id uuid, 2 url text, 3 events json, 4 secret text, 5 active boolean (null: unchanged),
--         6 actor text, 7 actorType text, 8 requestId text, 9 id of the audit row uuid: with the same
--         one it is written once
-- result: zero or one row: the webhook, as enum webhook_column names it (no secret)
with changed as (
    update webhooks
       set url = coalesce($2::text, url),
           events = case when $3::json is null then events
                         else array(select json_array_elements_text($3::json)) end,
           secret = coalesce($4::text, secret),
           active = coalesce($5::boolean, active),
           updated_at = now()
     where id = $1::uuid
    returning id, url, events, active, created_at, updated_at
), audit as (
    insert into audit_log (id, actor, actor_type, action, resource, resource_id, details,
                           request_id)
    select $9::uuid, $6::text, $7::text, 'webhook.updated', 'webhook', id::text,
           jsonb_strip_nulls(jsonb_build_object(
               'url', $2::text, 'events', $3::json, 'active', $5::boolean,
               'secretChanged', case when $4::text is not null then true end)),
           $8::text
      from changed
    on conflict (id) do nothing
)
select id, url, to_json(events), active, created_at, updated_at
  from changed;
