-- name:   command_accept
-- params: 1 id bigint, 2 instance_id uuid, 3 accepted at, a time as text, 4 actor_type
--         text, 5 action text, 6 resource text
-- result: none; whoever was asked has agreed: the run shows it, and it is audited
with held as (
    -- The run first, as whoever removes it with its commands.
    select r.run_key
      from commands c
      join runs r using (run_key)
     where c.id = $1::bigint
       for no key update of r
), accepted as (
    update commands c
       set result = '{"outcome":"unconfirmed"}'
      from held h
     where c.run_key = h.run_key
       and c.id = $1::bigint and c.owner = $2::uuid and c.state = 'running' and c.result is null
    returning c.id, c.run_key, c.args, c.requester, c.request_id
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
