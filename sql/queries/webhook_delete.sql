-- name:   webhook_delete
-- params: 1 id uuid, 2 actor text, 3 actorType text, 4 requestId text, 5 id of the audit row uuid
-- result: none; a webhook that is not there is fine
with gone as (
    delete from webhooks
     where id = $1::uuid
    returning id
)
insert into audit_log (id, actor, actor_type, action, resource, resource_id, request_id)
select $5::uuid, $2::text, $3::text, 'webhook.deleted', 'webhook', id::text, $4::text
  from gone;
