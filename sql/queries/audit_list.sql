-- name:   audit_list
-- params: 1 actor text, 2 actions json, 3 resource text, 4 resourceId text,
--         5 createdAfter timestamptz, 6 createdBefore timestamptz (null: no such filter),
--         7 limit bigint, 8 offset bigint
-- plan:   each time
-- result: audit rows, newest first: id, actor, actor_type, action, resource, resource_id, details,
--         request_id, created_at, then the total of the filter; for an empty page one row with
--         the total only
--
-- Counting ends at 10001 rows, or one behind the page when that is further: then there are more.
with found as materialized (
    select a.audit_key, row_number() over (order by a.created_at desc, a.id) as place
      from audit_log a
     where ($1::text is null or a.actor = $1)
       and ($2::json is null or a.action = any (json_texts($2::json)))
       and ($3::text is null or a.resource = $3)
       and ($4::text is null or a.resource_id = $4)
       -- Clients see and send milliseconds: "after" one means after its last microsecond.
       and ($5::timestamptz is null or a.created_at >= $5 + interval '1 millisecond')
       and ($6::timestamptz is null or a.created_at < $6)
     order by a.created_at desc, a.id
     limit greatest(10001, $7::bigint + $8::bigint + 1)
)
select a.id, a.actor, a.actor_type, a.action, a.resource, a.resource_id, a.details, a.request_id,
       a.created_at, t.total
  from (select count(*) as total from found) t
  left join (found p join audit_log a using (audit_key))
    on p.place > $8::bigint and p.place <= $7::bigint + $8::bigint
 order by p.place;
