-- name:   batch_commands
-- params: arrays run_key bigint, id bigint, actor_type text, action text, resource text, one
--         element per command that is carried out by this transaction; without an action it is not
--         audited
-- result: none; it has ended together with what it did
with finished as (
    update commands c
       set state = 'done', finished_at = now(),
           result = jsonb_build_object('outcome', 'done', 'status', r.status)
      from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[])
               as g (run_key, id, actor_type, action, resource)
      join runs r using (run_key)
     where c.id = g.id and c.state in ('requested', 'running')
    returning c.id, c.requester, c.request_id, r.id as run_id, g.actor_type, g.action, g.resource
)
insert into audit_log (id, actor, actor_type, action, resource, resource_id, details, request_id)
select gen_random_uuid(), coalesce(requester, ''), actor_type, action, resource, run_id::text,
       jsonb_build_object('commandId', id::text, 'outcome', 'done'), request_id
  from finished
 where action is not null;
