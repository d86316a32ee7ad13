-- name:   run_find_posted
-- params: 1 id uuid, 2 idempotencyKey text or null, 3 sessionId text
-- result: the run that stands in the way of a new one (id, session_id, status, trace_id, run_key,
--         reason id|key|session, origin), or no row
select r.id, r.session_id, r.status, r.trace_id, r.run_key,
       case when r.id = $1::uuid then 'id'
            when r.idempotency_key = $2::text then 'key'
            else 'session' end,
       r.origin
  from runs r
 where r.id = $1::uuid
    or r.idempotency_key = $2::text
    or r.session_id = $3::text
 order by r.id = $1::uuid desc,
          coalesce(r.idempotency_key = $2::text, false) desc,
          r.status in ('completed', 'failed', 'cancelled'),
          r.created_at desc
 limit 1;
