-- name:   audit_list
-- params: 1 actor text, 2 actions json, 3 resource text, 4 resourceId text,
--         5 createdAfter timestamptz, 6 createdBefore timestamptz (null: no such filter),
--         7 limit bigint, 8 offset bigint
-- result: audit rows, newest first: id, actor, actor_type, action, resource, resource_id, details,
--         request_id, created_at, then the total of the filter; for an empty page one row with
--         the total only
with filtered as not materialized (
    select a.id, a.actor, a.actor_type, a.action, a.resource, a.resource_id, a.details,
           a.request_id, a.created_at
      from audit_log a
     where ($1::text is null or a.actor = $1)
       and ($2::json is null or a.action = any (array(select json_array_elements_text($2::json))))
       and ($3::text is null or a.resource = $3)
       and ($4::text is null or a.resource_id = $4)
       -- Clients see and send milliseconds: "after" one means after its last microsecond.
       and ($5::timestamptz is null or a.created_at >= $5 + interval '1 millisecond')
       and ($6::timestamptz is null or a.created_at < $6)
)
select p.id, p.actor, p.actor_type, p.action, p.resource, p.resource_id, p.details, p.request_id,
       p.created_at, t.total
  from (select count(*) as total from filtered) t
  left join (select *
               from filtered f
              order by f.created_at desc, f.id
              limit $7::bigint offset $8::bigint) p on true
 order by p.created_at desc, p.id;
