-- name:   commands_overdue
-- params: 1 actor_type text; arrays 2 kind text, 3 action text, 4 resource text
-- result: id of each command whose time is over and that nobody carries out
with late as (
    select id
      from commands
     where state in ('requested', 'running') and deadline <= now() and lease_until < now()
       for update skip locked
), expired as (
    update commands c
       set state = 'expired', finished_at = now()
      from late l
     where c.id = l.id
    returning c.id, c.run_key, c.kind, c.args, c.requester, c.request_id,
              c.result is not null as audited
), audit as (
    insert into audit_log (id, actor, actor_type, action, resource, resource_id, details,
                           request_id)
    select gen_random_uuid(), coalesce(e.requester, ''), $1::text, k.action, k.resource,
           coalesce(r.id::text, e.args ->> 'policyId'),
           jsonb_strip_nulls(jsonb_build_object('commandId', e.id::text, 'outcome', 'expired',
                                                'reason', e.args -> 'reason')),
           e.request_id
      from expired e
      join unnest($2::text[], $3::text[], $4::text[]) as k (kind, action, resource) using (kind)
      left join runs r using (run_key)
     where not e.audited
)
select id
  from expired;
