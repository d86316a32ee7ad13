-- name:   command_finish
-- params: 1 id bigint, 2 instance_id uuid, 3 state text, 4 result jsonb, 5 actor_type text,
--         6 action text, 7 resource text
-- result: none; one audit row per command: when it was accepted there is one already
with before as (
    select id, run_key, args, requester, request_id, result is not null as audited
      from commands
     where id = $1::bigint and owner = $2::uuid and state = 'running'
       for update
), finished as (
    update commands c
       set state = $3::text, result = $4::jsonb, finished_at = now()
      from before b
     where c.id = b.id
)
insert into audit_log (id, actor, actor_type, action, resource, resource_id, details, request_id)
select gen_random_uuid(), coalesce(b.requester, ''), $5::text, $6::text, $7::text,
       coalesce(r.id::text, b.args ->> 'policyId'),
       jsonb_strip_nulls(jsonb_build_object('commandId', b.id::text, 'outcome', $3::text,
                                            'reason', b.args -> 'reason',
                                            'error', $4::jsonb -> 'message')),
       b.request_id
  from before b
  left join runs r using (run_key)
 where not b.audited;
