-- name:   command_accept
-- params: 1 id bigint, 2 instance_id uuid, 3 accepted at, a time as text, 4 actor_type
--         text, 5 action text, 6 resource text
-- result: none; whoever was asked has agreed: the run shows it, and it is audited
with accepted as (
    update commands
       set result = '{"outcome":"unconfirmed"}'
     where id = $1::bigint and owner = $2::uuid and state = 'running' and result is null
    returning id, run_key, args, requester, request_id
), marked as (
    update runs r
       set cancel_requested_at = $3::text::timestamptz,
           metadata = r.metadata || jsonb_build_object('cancelRequestedAt', $3::text)
      from accepted a
     where r.run_key = a.run_key
    returning r.id
)
insert into audit_log (id, actor, actor_type, action, resource, resource_id, details, request_id)
select gen_random_uuid(), coalesce(a.requester, ''), $4::text, $5::text, $6::text, m.id::text,
       jsonb_strip_nulls(jsonb_build_object('commandId', a.id::text, 'outcome', 'accepted',
                                            'reason', a.args -> 'reason')),
       a.request_id
  from accepted a, marked m;
